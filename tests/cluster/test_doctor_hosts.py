"""Machines of one's own before `ray up`: each thing that would stop it is one line with its fix; and a report
that holds no token."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.health import Finding, Level, hosts

ROOT = Path(__file__).parents[2]
SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
ADDRESS = "127.0.0.77"
TOKEN = "5ec7e7" * 10 + "0123"
pytestmark = pytest.mark.timeout(200)


def answer(**changes: str | None) -> str:
    """What a healthy host says, but for these lines."""
    lines = {"clock": "1000.5", "room": "100", "python": "3.11", "root": "yes"} | changes
    return "Welcome to a machine\n" + "".join(f"{n} {v}\n" for n, v in lines.items() if v is not None)


def faults(said: str) -> list[str]:
    found = list(hosts._read("10.0.0.1", said, 1000.0, 1001.0))
    return [str(finding) for finding in found if finding.level is Level.FAULT]


def test_a_healthy_host_is_one_line_whatever_its_login_says_first() -> None:
    (found,) = hosts._read("10.0.0.1", answer(), 1000.0, 1001.0)
    assert found.level is Level.FINE
    assert "Python 3.11, 100 GB free" in found.what


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"room": "9"}, "9 GB free at home, the environment needs 15. Make room"),
        ({"clock": "930.0"}, "its clock is 70 s off. sudo apt-get install chrony"),
        ({"clock": "1003.5"}, "its clock is 2 s off"),
        ({"python": None}, "no python3. sudo apt-get install python3 python3-venv"),
        ({"python": "3.9"}, "Python 3.9 is not 3.11 to 3.13. Install one, and name it in LAB_PYTHON"),
        ({"root": None}, "sudo asks for a password"),
        ({"unwritable": "/mnt/lab/data"}, "/mnt/lab/data cannot be written. Mount the shared folder there"),
        ({"room": None}, "Make `ssh 10.0.0.1 bash -s` run commands"),
    ],
)
def test_what_a_host_lacks_is_one_line_with_its_fix(changes: dict[str, str | None], says: str) -> None:
    (said,) = faults(answer(**changes))
    assert says in said


def test_an_environment_that_is_there_already_needs_neither_room_nor_python() -> None:
    assert faults(answer(ready="yes", room="3", python=None)) == []


def test_a_fault_without_a_fix_cannot_be_told() -> None:
    with pytest.raises(ValueError, match="comes with its fix"):
        Finding(Level.FAULT, "here", "it is broken")
    with pytest.raises(ValueError, match="comes with its fix"):
        Finding(Level.FINE, "here", "it is well", "do this")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Path]:
    """An sshd on port 22 of an address of loopback; the folder holds the key that it accepts."""
    if SSHD is None or os.geteuid() != 0:
        pytest.skip("needs root and openssh-server, to listen on port 22")
    for name in ("key", "host_key", "other"):
        made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(made, check=True, timeout=30)
    Path("/run/sshd").mkdir(exist_ok=True)
    (tmp_path / "sshd_config").write_text(
        f"ListenAddress {ADDRESS}:22\nHostKey {tmp_path}/host_key\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {tmp_path}/key.pub\nPasswordAuthentication no\n"
        "PermitRootLogin prohibit-password\n"
    )
    process = subprocess.Popen([SSHD, "-D", "-f", str(tmp_path / "sshd_config")], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while socket.socket().connect_ex((ADDRESS, 22)) != 0:
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.skip("an sshd of this machine has that port")
        time.sleep(0.05)
    yield tmp_path
    process.terminate()
    process.wait(10)


def asked(key: Path, home: Path) -> list[Finding]:
    shared = home / "shared"
    return list(
        hosts.findings(
            {
                "provider": {"type": "local", "head_ip": ADDRESS, "worker_ips": []},
                "auth": {"ssh_user": "root", "ssh_private_key": str(key)},
                "setup_commands": [f"cat > ~/lab.env <<'END'\nLAB_STORAGE={shared}\nEND"],
            }
        )
    )


def test_a_host_is_asked_through_ssh_and_a_wrong_key_is_told_with_the_way_in(host: Path) -> None:
    (found,) = asked(host / "other", host)
    assert f"does not let root in with {host}/other. ssh-copy-id -i {host}/other.pub" in str(found)
    said = asked(host / "key", host)
    assert not any("does not let" in str(f) or "its shell answers" in str(f) for f in said)
    assert all("cannot be written" not in str(f) for f in said)
    assert (host / "shared").is_dir(), "the shared folder was tried"


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"LAB_FREE_GB": "99999999"}, "99999999 are needed: give the node a larger disk."),
        ({"LAB_PYTHON": "no-such-python"}, "no no-such-python: set LAB_PYTHON to a Python 3.11 to 3.13."),
    ],
)
def test_what_the_installation_on_a_node_lacks_is_said_before_anything_is_fetched(
    tmp_path: Path, environment: dict[str, str], says: str
) -> None:
    place = {"LAB_ENVIRONMENT": str(tmp_path / "environment"), "LAB_PYTHON": sys.executable}
    for name in ("clusters/install.sh", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    done = subprocess.run(
        ["bash", str(tmp_path / "install.sh")], env=os.environ | place | environment,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert says in done.stderr
    assert not (tmp_path / "environment").exists()


@pytest.mark.slow
def test_a_token_is_neither_in_the_report_nor_in_what_is_printed_nor_in_any_command_line(
    tmp_path: Path,
) -> None:
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text(TOKEN)
    token.chmod(0o600)
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("LAB_", "RAY_", "AWS_"))
    }
    ours = {
        "HOME": str(tmp_path), "PYTHONPATH": f"{ROOT}/platform:{ROOT}", "RAY_AUTH_TOKEN": TOKEN,
        "RAY_AUTH_MODE": "token", "LAB_HOME": str(tmp_path / "lab"), "AWS_SESSION_TOKEN": TOKEN,
        "LAB_TRACKING": f"http://somebody:{TOKEN}@127.0.0.1:9", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "lab.cli", "doctor", "--bundle", "report.json"],
        cwd=tmp_path, env=clean | ours, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    seen = set()
    while process.poll() is None:
        seen |= {words for words in command_lines() if TOKEN in words}
        time.sleep(0.05)
    assert process.stdout is not None
    said = process.stdout.read()
    assert "report without secrets: report.json" in said
    assert TOKEN not in said
    assert TOKEN not in (tmp_path / "report.json").read_text()
    assert seen == set(), "whoever is logged in to the machine reads command lines"


def command_lines() -> Iterator[str]:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield file.read_text(errors="replace")
        except OSError:
            continue

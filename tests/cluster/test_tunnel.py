"""`lab ui --cluster`: a tunnel through a real sshd to what listens on the head's loopback."""

from __future__ import annotations

import http.server
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import tunnel
from lab.errors import LabError, SpecError
from lab.tracking.server import free_port
from lab.tunnel import Head, opened

ROOT = Path(__file__).parents[2]
SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
needs_sshd = pytest.mark.skipif(SSHD is None, reason="no sshd here: apt-get install openssh-server")
pytestmark = pytest.mark.timeout(120)


class Server(http.server.BaseHTTPRequestHandler):
    """Something on the head's loopback that says who it is."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.words)  # type: ignore[attr-defined]

    def log_message(self, *words: object) -> None:
        """Quiet."""


@dataclass
class Machine:
    """An sshd of this user, on a port that only its proxy command knows, with one key it accepts."""

    folder: Path
    process: subprocess.Popen[bytes]
    port: int

    def config(self, **auth: str) -> Path:
        """A configuration whose head this is."""
        relay = f"exec 3<>/dev/tcp/127.0.0.1/{self.port}; cat <&3 & exec cat >&3"
        file = self.folder / "cluster.yaml"
        whole: dict[str, Any] = {
            "cluster_name": "a-cluster",
            "provider": {"type": "local", "head_ip": "10.9.8.7", "worker_ips": []},
            "auth": {
                "ssh_user": os.environ.get("USER") or "root",
                "ssh_private_key": str(self.folder / "key"),
                "ssh_proxy_command": f"bash -c '{relay}'",
            }
            | auth,
        }
        file.write_text(yaml.safe_dump(whole))
        return file


def keypair(file: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True, timeout=30)
    return file


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    key, host_key, port = keypair(tmp_path / "key"), keypair(tmp_path / "host_key"), free_port()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    settings = tmp_path / "sshd_config"
    settings.write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {host_key}\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {key}.pub\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    process = subprocess.Popen([str(SSHD), "-D", "-e", "-f", str(settings)], stderr=subprocess.DEVNULL)
    while not tunnel.answers(port):
        assert process.poll() is None
        time.sleep(0.05)
    yield Machine(tmp_path, process, port)
    process.terminate()
    process.wait(10)


@pytest.fixture
def servers() -> Iterator[dict[str, int]]:
    """Two servers on the loopback that head and person share here, in the place of MLflow and Ray."""
    started = {}
    for name in ("the record", "the dashboard"):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        server.words = name.encode()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started[name] = server
    yield {name: server.server_address[1] for name, server in started.items()}
    for server in started.values():
        server.shutdown()
        server.server_close()


def read(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        return answer.read().decode()


@needs_sshd
def test_both_ends_are_on_loopback_and_the_tunnel_goes_with_its_context(
    machine: Machine, servers: dict[str, int]
) -> None:
    file = machine.config()
    head = Head.of(yaml.safe_load(file.read_text()), file)
    ends = {servers["the record"]: free_port(), servers["the dashboard"]: free_port()}
    with opened(head, ends):
        assert {name: read(ends[port]) for name, port in servers.items()} == {n: n for n in servers}
        here = next(iter(ends.values()))
        with socket.socket() as other:
            assert other.connect_ex((own_address(), here)) != 0, "nobody else on the network may enter"
    assert not any(tunnel.answers(port) for port in ends.values())


def own_address() -> str:
    """Of this machine, as others reach it; one of loopback's others where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        try:
            way.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.2"
        return str(way.getsockname()[0])


@needs_sshd
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_the_command_prints_two_addresses_and_leaves_nothing_behind(
    machine: Machine, servers: dict[str, int], ending: signal.Signals
) -> None:
    record, dashboard = free_port(), free_port()
    script = (
        f"import lab.commands.ui as ui; ui.RECORD, ui.DASHBOARD = {servers['the record']}, "
        f"{servers['the dashboard']}; import sys; from lab.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = [
        "ui",
        "--cluster",
        str(machine.config()),
        "--port",
        str(record),
        "--dashboard-port",
        str(dashboard),
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT}/platform:{ROOT}", "LAB_HOME": str(machine.folder / "home")},
        start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = ""
        while "Ctrl-C closes" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        assert f"MLflow: http://127.0.0.1:{record}\n" in said
        assert f"Ray dashboard: http://127.0.0.1:{dashboard}\n" in said
        assert "the line in ~/.ray/auth_token" in said
        assert f"export LAB_TRACKING=http://127.0.0.1:{record} RAY_API_SERVER_ADDRESS=" in said
        assert (read(record), read(dashboard)) == ("the record", "the dashboard")
        os.killpg(process.pid, ending) if ending is signal.SIGINT else process.kill()
        assert process.wait(20) == (0 if ending is signal.SIGINT else -signal.SIGKILL)
    finally:
        process.kill()
    deadline = time.monotonic() + 20
    while tunnel.answers(record) or tunnel.answers(dashboard):
        assert time.monotonic() < deadline, "an ssh was left behind"
        time.sleep(0.1)


@needs_sshd
def test_a_wrong_key_a_changed_host_and_a_machine_that_is_off_are_one_line_each(machine: Machine) -> None:
    def trouble(file: Path) -> str:
        with (
            pytest.raises(LabError) as raised,
            opened(Head.of(yaml.safe_load(file.read_text()), file), {5: free_port()}),
        ):
            pass
        assert "\n" not in str(raised.value)
        return str(raised.value)

    other = keypair(machine.folder / "other")
    assert f"does not accept {other}" in trouble(machine.config(ssh_private_key=str(other)))
    assert f"there is no key {other}.gone" in trouble(machine.config(ssh_private_key=f"{other}.gone"))
    known = machine.folder / "home" / "known_hosts"
    assert "ssh-ed25519" in known.read_text(), "seen once, remembered"
    another = (machine.folder / "other.pub").read_text().rpartition(" ")[0]
    known.write_text(f"10.9.8.7 {another}\n")
    said = trouble(machine.config())
    assert "another host key" in said
    assert f"`ssh-keygen -f {known} -R 10.9.8.7`" in said
    assert "no tunnel to" in trouble(machine.config(ssh_proxy_command="false"))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"apiVersion": "ray.io/v1"}, "kubectl port-forward"),
        ({"provider": {"type": "local", "head_ip": "10.0.0.1"}}, "no auth.ssh_user"),
        (
            {"provider": {"type": "local", "head_ip": "CHANGE-ME-HEAD"}, "auth": {"ssh_user": "me"}},
            "`lab doctor --config cluster.yaml` lists what is left",
        ),
    ],
)
def test_a_configuration_that_names_no_head_says_what_to_do(config: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        Head.of(config, Path("cluster.yaml"))


def test_a_cloud_that_has_no_head_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    moto = pytest.importorskip("moto")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    file = tmp_path / "cluster.yaml"
    file.write_text((ROOT / "cluster.yaml").read_text())
    with moto.mock_aws(), pytest.raises(LabError, match=r"no head of perceiver-lab found .*`ray up"):
        Head.of(yaml.safe_load(file.read_text()), file)


def test_the_head_in_a_cloud_is_found_where_it_runs_and_entered_with_its_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    moto = pytest.importorskip("moto")
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    key = keypair(tmp_path / "made")
    file = tmp_path / "cluster.yaml"
    text = (ROOT / "cluster.yaml").read_text().replace("CHANGE-ME-ACCOUNT", "123456789012")
    file.write_text(text.replace("  ssh_user: ubuntu", f"  ssh_user: ubuntu\n  ssh_private_key: {key}"))
    tags = {"ray-cluster-name": "perceiver-lab", "ray-node-type": "head", "ray-node-status": "up-to-date"}
    with moto.mock_aws():
        ec2 = boto3.client("ec2", region_name="us-east-1")
        (made,) = ec2.run_instances(
            ImageId="ami-12c6146b", MinCount=1, MaxCount=1,
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": n, "Value": v} for n, v in tags.items()]}
            ],
        )["Instances"]  # fmt: skip
        (there,) = ec2.describe_instances(InstanceIds=[made["InstanceId"]])["Reservations"][0]["Instances"]
        head = Head.of(yaml.safe_load(file.read_text()), file)
    assert head == Head(there["PublicIpAddress"], "ubuntu", key)

"""Machines of one's own, asked over SSH before Ray is: reachable, open to the key, with room, on time."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lab.health.configuration import PLACEHOLDER, places
from lab.health.finding import Finding, fault, fine

CONNECT_SECONDS = 5
FREE_GB = 15
"""what clusters/install.sh asks for"""
CLOCK_SECONDS = 2.0
SHARED = ("LAB_DATA", "LAB_STORAGE", "LAB_ARTIFACTS", "LAB_RECORD_BACKUP")
QUESTIONS = """
date +%s.%N
df --output=avail -BG "$HOME" | tail -1 | tr -dc 0-9; echo
ready=$(ls -d ~/lab-environment/lock 2>/dev/null); echo "ready $ready"
${LAB_PYTHON:-python3} -c 'import sys; print("python", "%d.%d" % sys.version_info[:2])' 2>&1 | tail -1
{ [ "$(id -u)" = 0 ] || sudo -n true; } 2>/dev/null && echo root || echo noroot
"""


def findings(config: Mapping[str, Any]) -> Iterator[Finding]:
    """What each host of a `provider: local` says, all asked at once."""
    provider, auth = config.get("provider") or {}, config.get("auth") or {}
    hosts = [str(host) for host in (provider.get("head_ip"), *(provider.get("worker_ips") or [])) if host]
    hosts = [host for host in hosts if PLACEHOLDER not in host]
    shared = {value for name, value in places(config).items() if name in SHARED and value.startswith("/")}
    if not hosts or PLACEHOLDER in str(auth):
        return
    if len(set(hosts)) < len(hosts):
        yield fault("provider", "an address is there twice", "Every host has its own")
    with ThreadPoolExecutor(len(hosts)) as pool:
        for found in pool.map(lambda host: list(_of(host, auth, shared)), hosts):
            yield from found


def _of(host: str, auth: Mapping[str, Any], shared: set[str]) -> Iterator[Finding]:
    try:
        socket.create_connection((host, 22), CONNECT_SECONDS).close()
    except OSError as why:
        words = why.strerror or str(why)
        yield fault(
            host,
            f"cannot be reached on port 22 ({words})",
            "Is the address right, the machine on, and sshd up?",
        )
        return
    folders = " ".join(sorted(shared))
    questions = QUESTIONS + (
        f'for f in {folders}; do mkdir -p "$f" 2>/dev/null && [ -w "$f" ] || echo "unwritable $f"; done'
        if folders
        else ""
    )
    before = time.time()
    said = _ssh(host, auth, questions)
    after = time.time()
    if said.returncode == 255:
        yield _refused(host, auth, said.stderr)
        return
    yield from _read(host, said.stdout, before, after)


def _ssh(host: str, auth: Mapping[str, Any], script: str) -> subprocess.CompletedProcess[str]:
    """As Ray does it: without questions, and without a look at known hosts, which change as machines do."""
    key = auth.get("ssh_private_key")
    return subprocess.run(
        [
            "ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_SECONDS}",
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
            *(["-i", str(Path(key).expanduser()), "-o", "IdentitiesOnly=yes"] if key else []),
            f"{auth.get('ssh_user')}@{host}", "bash -s",
        ],
        input=script, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def _refused(host: str, auth: Mapping[str, Any], words: str) -> Finding:
    last = words.strip().rpartition("\n")[2]
    if "Permission denied" in words:
        user, key = auth.get("ssh_user"), auth.get("ssh_private_key") or "any key of yours"
        return fault(
            host,
            f"does not let {user} in with {key}",
            f"ssh-copy-id -i {key}.pub {user}@{host}, or correct auth",
        )
    return fault(host, f"ssh fails: {last}", f"Make `ssh {auth.get('ssh_user')}@{host}` work first")


def _read(host: str, said: str, before: float, after: float) -> Iterator[Finding]:
    lines = said.strip().splitlines()
    clock, room = float(lines[0]), int(lines[1])
    ready = any(line.startswith("ready /") for line in lines)
    python = next((line.removeprefix("python ") for line in lines if line.startswith("python ")), "")
    wrong = []
    if (skew := max(before - clock, clock - after, 0.0)) > CLOCK_SECONDS:
        wrong.append(fault(host, f"its clock is {skew:.0f} s off", "sudo apt-get install chrony"))
    if room < FREE_GB and not ready:
        wrong.append(fault(host, f"{room} GB free at home, the environment needs {FREE_GB}", "Make room"))
    if not python and not ready:
        wrong.append(fault(host, "no python3", "sudo apt-get install python3 python3-venv"))
    elif python and not ready and not (3, 11) <= tuple(map(int, python.split("."))) < (3, 14):
        wrong.append(
            fault(host, f"Python {python} is not 3.11 to 3.13", "Install one, and name it in LAB_PYTHON")
        )
    if "noroot" in lines:
        wrong.append(
            fault(host, "sudo asks for a password", "PostgreSQL and the firewall are installed with it")
        )
    wrong += [
        fault(host, f"{line.removeprefix('unwritable ')} cannot be written", "Mount the shared folder there")
        for line in lines
        if line.startswith("unwritable ")
    ]
    yield from wrong or [fine(host, f"lets us in; Python {python}, {room} GB free, its clock agrees")]

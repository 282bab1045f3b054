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
SSH_FAILED = 255
SHARED = ("LAB_DATA", "LAB_STORAGE", "LAB_ARTIFACTS", "LAB_RECORD_BACKUP")
ANSWER_SECONDS = 60
QUESTIONS = """
echo "clock $(date +%s.%N)"
echo "room $(df --output=avail -BG "$HOME" | tail -1 | tr -dc 0-9)"
[ -f ~/lab-environment/lock ] && echo "ready yes"
${LAB_PYTHON:-python3} -c 'import sys; print("python", "%d.%d" % sys.version_info[:2])' 2>/dev/null
{ [ "$(id -u)" = 0 ] || sudo -n true; } 2>/dev/null && echo "root yes"
"""
"""answered by lines of a name and a value; whatever else a login says is passed over"""


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
        f'for f in {folders}; do mkdir -p "$f" 2>/dev/null && [ -w "$f" ] || echo "unwritable $f"; done\n'
        if folders
        else ""
    )
    before = time.time()
    said = _ssh(host, auth, questions)
    after = time.time()
    if said.returncode == SSH_FAILED:
        yield _refused(host, auth, said.stderr)
        return
    yield from _read(host, said.stdout, before, after)


def _ssh(host: str, auth: Mapping[str, Any], script: str) -> subprocess.CompletedProcess[str]:
    """As Ray does it: without questions, and without a look at known hosts, which change as machines do."""
    key = auth.get("ssh_private_key")
    words = [
        "ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_SECONDS}",
        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
        *(["-i", str(Path(key).expanduser()), "-o", "IdentitiesOnly=yes"] if key else []),
        f"{auth.get('ssh_user')}@{host}", "bash -s",
    ]  # fmt: skip
    try:
        return subprocess.run(
            words, input=script, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, SSH_FAILED, "", f"no answer in {ANSWER_SECONDS} s")
    except FileNotFoundError:
        return subprocess.CompletedProcess(words, SSH_FAILED, "", "there is no ssh on this machine")


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
    """What is wrong with a host that has answered between `before` and `after`."""
    answers: dict[str, list[str]] = {}
    for line in said.splitlines():
        name, _, value = line.strip().partition(" ")
        answers.setdefault(name, []).append(value)
    try:
        clock, room = float(answers["clock"][-1]), int(answers["room"][-1])
    except (KeyError, ValueError):
        yield fault(
            host, f"its shell answers {said.strip()[-80:]!r}", f"Make `ssh {host} bash -s` run commands"
        )
        return
    wrong = []
    if (skew := max(before - clock, clock - after, 0.0)) > CLOCK_SECONDS:
        wrong.append(fault(host, f"its clock is {skew:.0f} s off", "sudo apt-get install chrony"))
    python = answers.get("python", [""])[-1]
    if "ready" not in answers:
        wrong += _unprepared(host, room, python)
    if "root" not in answers:
        wrong.append(
            fault(host, "sudo asks for a password", "PostgreSQL and the firewall are installed with it")
        )
    wrong += [
        fault(host, f"{folder} cannot be written", "Mount the shared folder there")
        for folder in answers.get("unwritable", [])
    ]
    yield from wrong or [fine(host, f"lets us in; Python {python}, {room} GB free, its clock agrees")]


def _unprepared(host: str, room: int, python: str) -> Iterator[Finding]:
    """What would stop clusters/install.sh."""
    if room < FREE_GB:
        yield fault(host, f"{room} GB free at home, the environment needs {FREE_GB}", "Make room")
    if not python:
        yield fault(host, "no python3", "sudo apt-get install python3 python3-venv")
    elif not (3, 11) <= tuple(map(int, python.split("."))) < (3, 14):
        yield fault(host, f"Python {python} is not 3.11 to 3.13", "Install one, and name it in LAB_PYTHON")

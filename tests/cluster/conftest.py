"""A Ray head of the tests' own, as `ray up` would start it: token on, dashboard on loopback."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Head:
    """A head that can be killed and started anew, like a machine that is lost and replaced."""

    home: Path
    token: str = field(default_factory=lambda: secrets.token_hex(32))
    process: subprocess.Popen | None = None
    port: int = field(default_factory=free_port)
    gcs: int = field(default_factory=free_port)
    """where nodes and drivers join"""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("LAB_", "RAY_"))}
        return clean | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "OMP_NUM_THREADS": "1",
            "LAB_LOCK": str(self.home / "lock"),
            "LAB_HOME": str(self.home / "lab"),
            "LAB_QUEUE": str(self.home / "queue"),
        }

    def start(self) -> None:
        """Returns when the job server answers."""
        lock = hashlib.sha256((ROOT / "constraints.txt").read_bytes()).hexdigest()[:12]
        (self.home / "lock").write_text(lock + "\n")
        self.sessions = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # sockets: their paths must be short
        ports = {"dashboard-agent-listen-port", "ray-client-server-port", "metrics-export-port"}
        self.process = subprocess.Popen(
            [
                Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--num-cpus=2",
                "--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--dashboard-port={self.port}",
                f"--temp-dir={self.sessions}", "--object-store-memory=100000000",
                f"--port={self.gcs}",
                *(f"--{name}={free_port()}" for name in sorted(ports)),
            ],
            env=self.environment, stdout=(self.home / "head.log").open("a"), stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        for _ in range(240):
            try:
                request = urllib.request.Request(
                    f"{self.address}/api/jobs/", headers={"Authorization": f"Bearer {self.token}"}
                )
                urllib.request.urlopen(request, timeout=5).close()
                return
            except OSError:
                assert self.process.poll() is None, (self.home / "head.log").read_text()[-3000:]
                time.sleep(0.25)
        raise AssertionError((self.home / "head.log").read_text()[-3000:])

    def kill(self) -> None:
        """All at once, as when the machine is gone."""
        if self.process is None:
            return
        import psutil

        family = [self.process.pid]
        for process in psutil.process_iter(["pid", "cmdline"]):
            if self.sessions in " ".join(process.info["cmdline"] or []):
                family.append(process.info["pid"])
        children = [
            child.pid
            for pid in family
            if psutil.pid_exists(pid)
            for child in psutil.Process(pid).children(recursive=True)
        ]
        for pid in {*family, *children}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(30)
        self.process = None
        shutil.rmtree(self.sessions, ignore_errors=True)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    one = Head(tmp_path_factory.mktemp("head"))
    try:
        one.start()
        yield one
    finally:
        one.kill()


class Shell:
    """`lab` on the machine of whoever submits: with the token and the tunnel's end, and a home of its own."""

    def __init__(self, head: Head, home: Path) -> None:
        self.head, self.home = head, home

    def __call__(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("LAB_", "RAY_"))}
        ours = {
            "PYTHONPATH": f"{ROOT}/platform:{ROOT}",
            "RAY_AUTH_TOKEN": self.head.token,
            "RAY_API_SERVER_ADDRESS": self.head.address,
            "LAB_HOME": str(self.home / ".lab"),
            "OMP_NUM_THREADS": "1",
        }
        return subprocess.run(
            [sys.executable, "-m", "lab.cli", *words],
            cwd=self.home, env=clean | ours | environment,
            capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip

    def refusal(self, *words: str, **environment: str) -> str:
        """The one line a mistaken command is answered with."""
        done = self(*words, **environment)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr


@pytest.fixture
def lab(head: Head, tmp_path: Path) -> Shell:
    return Shell(head, tmp_path)

"""The record as a head keeps it: PostgreSQL and the MLflow server, which outlive their ends and the head."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

from lab.settings import Settings
from lab.tracking.mlflow import MlflowTracker
from tests.lab.toy import toy_spec

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")), reason="no PostgreSQL on this machine"
    ),
]


class Record:
    """clusters/record.sh with a home, an environment and a place for what it saves."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.home, self.saved = folder / "home" / "lab-record", folder / "saved"
        self.saved.mkdir()
        (folder / "home").mkdir()
        self.environment = os.environ | {
            "HOME": str(folder / "home"),
            "LAB_RECORD": str(self.home),
            "LAB_RECORD_PORT": str(self.port),
            "LAB_RECORD_BACKUP": str(self.saved),
            "LAB_ENVIRONMENT": sys.prefix,
            "LAB_ARTIFACTS": str(folder / "artifacts"),
        }

    def __call__(self, word: str) -> str:
        done = subprocess.run(
            [ROOT / "clusters" / "record.sh", word],
            env=self.environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stderr

    def tracker(self) -> MlflowTracker:
        return MlflowTracker(Settings.load({"LAB_TRACKING": f"http://127.0.0.1:{self.port}"}))

    def await_answer(self) -> None:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5).close()
                return
            except OSError:
                time.sleep(0.5)
        raise AssertionError((self.home / "mlflow.log").read_text()[-3000:])

    def server(self) -> int:
        """The process that listens."""
        import psutil

        for process in psutil.process_iter(["pid", "cmdline"]):
            words = process.info["cmdline"] or []
            if "mlflow" in words and str(self.port) in words:
                return process.info["pid"]
        raise AssertionError("no server")


@pytest.fixture
def record():
    # Not below pytest's own folder, which is shut to PostgreSQL's user.
    with tempfile.TemporaryDirectory(prefix="lab-record-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        one = Record(Path(folder))
        try:
            one("start")
            yield one
        finally:
            one("stop")


def test_the_record_survives_its_servers_and_its_head(record: Record) -> None:
    assert "MLflow answers" in record("start"), "starting what runs changes nothing"
    record.await_answer()
    begun = record.tracker().begin(toy_spec(), name="toy", owner="host:1:1", tags={})

    os.kill(record.server(), signal.SIGKILL)
    time.sleep(1)
    record.await_answer()  # it is started again
    assert record.tracker().find([begun.digest])[begun.digest].run_id == begun.run_id

    record("save")
    record("stop")
    shutil.rmtree(record.home)  # the head is gone, and its disk with it
    assert "begins with what was saved" in record("start")
    record.await_answer()
    assert record.tracker().find([begun.digest])[begun.digest].run_id == begun.run_id


def test_nobody_reaches_the_database_but_through_a_folder_that_is_shut(record: Record) -> None:
    assert (record.home / "socket").stat().st_mode & 0o077 == 0
    listening = subprocess.run(["ss", "-ltnp"], capture_output=True, text=True, check=True).stdout
    ours = [line for line in listening.splitlines() if f":{record.port} " in line]
    assert ours, listening
    assert all(f"127.0.0.1:{record.port} " in line for line in ours)
    settings = (record.home / "database" / "postmaster.opts").read_text()
    assert "listen_addresses=" in settings
    assert "0.0.0.0" not in settings

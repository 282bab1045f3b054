"""A real MLflow server that goes away in the middle of a training: for a while, and for good."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from lab import Resources
from lab.run import run_one
from lab.tracking.mlflow import MlflowTracker
from lab.tracking.tracker import Status
from tests.lab.failing import LONG, batches_read, once_saved, settings_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
OUTAGE_SECONDS = 18
"""longer than one request waits"""


class Server:
    """`mlflow server` over one database, to be stopped and started."""

    def __init__(self, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.database, self.files = folder / "server.db", folder / "served"
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port),
                "--workers", "1", "--backend-store-uri", f"sqlite:///{self.database}",
                "--artifacts-destination", str(self.files),
            ],
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                return urllib.request.urlopen(f"{self.uri}/health", timeout=2).close()
            except OSError:
                time.sleep(0.2)
        raise AssertionError("the server did not start")

    def signal(self, number):
        os.killpg(self.process.pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def entries_twice(self):
        """(metric, step, how often) of what the database holds more than once."""
        with sqlite3.connect(self.database) as database:
            return database.execute(
                "select key, step, count(*) from metrics group by run_uuid, key, step having count(*) > 1"
            ).fetchall()


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    server.start()
    yield server
    server.signal(signal.SIGCONT)
    server.kill()


def require_whole(tracker, server):
    """One complete run, every point of its curves once."""
    (run,) = tracker.runs()
    assert (run.status, run.tags.get("reason")) == (Status.COMPLETE, None)
    assert [step for step, _ in tracker.history(run.run_id, "train/loss")] == list(range(10, 1001, 10))
    assert [step for step, _ in tracker.history(run.run_id, "validation/top1")] == [250, 500, 750, 1000]
    assert server.entries_twice() == []
    return run


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL], ids=["silent", "dead"])
def test_training_goes_on_without_the_server_and_everything_arrives_once_when_it_is_back(
    tmp_path, server, number
):
    settings = settings_in(str(tmp_path), server.uri, patience=120)

    def outage():
        server.signal(number)
        time.sleep(2)
        before = batches_read(settings)
        time.sleep(OUTAGE_SECONDS)
        trained = batches_read(settings) - before
        if number == signal.SIGSTOP:
            server.signal(signal.SIGCONT)
        else:
            server.process.wait()
            server.start()
        return trained

    tracker = MlflowTracker(settings)
    with once_saved(settings, LONG, outage) as trained:
        run = run_one(
            LONG, name="toy", scale="laptop", resources=Resources(cpus=0.5), settings=settings,
            tracker=tracker,
        )  # fmt: skip
    assert trained[0] > 50
    assert run.attempts == 1
    require_whole(tracker, server)


def test_without_the_server_for_good_the_command_says_so_and_with_it_the_same_command_completes(
    tmp_path, server
):
    settings = settings_in(str(tmp_path), server.uri, patience=10)
    command = [sys.executable, "-m", "tests.lab.failing", str(tmp_path), server.uri, "10"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}"}
    with once_saved(settings, LONG, server.kill):
        first = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False
        )
    last = first.stdout.strip().splitlines()[-1]
    assert first.returncode == 2, first.stdout + first.stderr
    assert last.startswith(f"TrackingUnreachable: the tracking server {server.uri} does not answer")
    assert "Traceback" not in first.stdout + first.stderr

    server.start()
    tracker = MlflowTracker(settings)
    (lapsed,) = tracker.reconcile()
    assert (lapsed.status, lapsed.tags["reason"]) == (Status.STOPPED, "its process is gone")
    second = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert second.returncode == 0, second.stdout + second.stderr
    assert require_whole(tracker, server).attempts == 2

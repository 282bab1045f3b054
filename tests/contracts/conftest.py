"""Each kind of record, with the real thing behind it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.tracking.memory import MemoryTracker
from lab.tracking.mlflow import MlflowTracker
from lab.tracking.tracker import Tracker
from tests.contracts.runs import settings_for


def binaries() -> Path:
    """Where `initdb` and `postgres` are: Debian leaves them beside the path."""
    beside = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    found = shutil.which("initdb") or (str(beside[0]) if beside else None)
    if found is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    return Path(found).resolve().parent


def somebody() -> str | None:
    """Whom the server runs as: it refuses to be root's. None where this is nobody's business."""
    if os.geteuid() != 0:
        return None
    names = [name for name in ("postgres", "nobody") if name in {user.pw_name for user in pwd.getpwall()}]
    if not names:
        pytest.skip("PostgreSQL does not run as root, and there is no user it could run as")
    return names[0]


@pytest.fixture(scope="package")
def postgresql() -> Iterator[str]:
    """Its address: an empty database on a socket in a folder of its own, gone afterwards."""
    where, user = binaries(), somebody()
    folder = Path(tempfile.mkdtemp(prefix="lab-pg-"))  # the path of a socket is short
    if user is not None:
        shutil.chown(folder, user)

    def run(*command: str | Path) -> None:
        done = subprocess.run(
            list(map(str, command)), cwd=folder, user=user, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    run(where / "initdb", "-D", folder / "data", "-U", "lab", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    run(where / "pg_ctl", "-D", folder / "data", "-o", options, "-l", folder / "log", "-w", "start")
    try:
        run(where / "createdb", "-h", folder, "-U", "lab", "record")
        yield f"postgresql+psycopg://lab@/record?host={folder}"
    finally:
        run(where / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real `mlflow server` on loopback."""
    home = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--workers",
        "1",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    command += [
        "--backend-store-uri",
        f"sqlite:///{home}/server.db",
        "--artifacts-destination",
        str(home / "files"),
    ]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True, env=os.environ | quiet, cwd=home
        )
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, (home / "log").read_text()
                time.sleep(0.25)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


@pytest.fixture(scope="package")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An embedded database. Making one takes seconds, so that each test has an experiment of its own in
    it."""
    return f"sqlite:///{tmp_path_factory.mktemp('embedded')}/record.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """One that is read directly."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture(params=["memory", "sqlite", "server", "postgresql"])
def tracker(request: pytest.FixtureRequest, tmp_path: Path) -> Tracker:
    if request.param == "memory":
        return MemoryTracker()

    return MlflowTracker(settings_for(request.getfixturevalue(request.param), tmp_path))

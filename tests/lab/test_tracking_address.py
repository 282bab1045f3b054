"""Addresses with a password in them: used, and never shown."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from lab.errors import LabError, PortInUse, TrackingUnreachable
from lab.settings import Settings
from lab.tracking.address import shown
from lab.tracking.mlflow import MlflowTracker
from lab.tracking.server import require_free, serve

ROOT = Path(__file__).parents[2]
SERVE = """
import sys
from pathlib import Path
from lab.settings import Settings
from lab.tracking.server import serve

sys.exit(serve(Settings.load({}, Path(sys.stdin.readline().strip())), int(sys.argv[1])))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings(uri: str, folder: Path) -> Settings:
    return Settings(uri, str(folder / "files"), str(folder), str(folder))


@pytest.mark.parametrize(
    ("uri", "seen"),
    [
        ("http://u:secret@host:5000/path", "http://***@host:5000/path"),
        ("postgresql+psycopg2://u:se/cr%40et@host/db", "postgresql+psycopg2://***@host/db"),
        ("http://token@host", "http://***@host"),
        ("http://host:5000", "http://host:5000"),
        ("sqlite:////home/me@work/record.db", "sqlite:////home/me@work/record.db"),
    ],
)
def test_what_stands_before_the_at_sign_is_not_shown(uri: str, seen: str) -> None:
    assert shown(uri) == seen
    assert shown(f"no answer from {uri} today") == f"no answer from {seen} today"


def test_a_password_is_not_shown_in_the_words_of_others_either() -> None:
    uri = "postgresql://u:se%40cret@host/db"
    assert shown("'se%40cret' is wrong, so is 'se@cret'", uri) == "'***' is wrong, so is '***'"


@pytest.mark.parametrize("scheme", ["http", "postgresql", "mysql+nonsense"])
def test_a_refusal_does_not_tell_the_password(tmp_path: Path, scheme: str) -> None:
    uri = f"{scheme}://user:secret@127.0.0.1:{free_port()}/db"
    with pytest.raises(LabError) as refusal:
        MlflowTracker(settings(uri, tmp_path))
    assert "secret" not in str(refusal.value)
    assert f"{scheme}://***@127.0.0.1" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_server_behind_a_password_is_asked_whether_it_is_there(tmp_path: Path) -> None:
    with pytest.raises(TrackingUnreachable, match=r"Connection refused.*start it with `lab ui`"):
        MlflowTracker(settings(f"http://u:secret@127.0.0.1:{free_port()}", tmp_path))


def test_a_database_that_is_not_there_is_told_of_before_mlflow_tries_it_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.tracking.mlflow.MlflowClient", lambda *of: pytest.fail("MLflow was asked"))
    pytest.importorskip("psycopg")
    uri = f"postgresql+psycopg://u:secret@127.0.0.1:{free_port()}/db"
    with pytest.raises(TrackingUnreachable, match=r"does not let us in \(.*refused.*LAB_TRACKING"):
        MlflowTracker(settings(uri, tmp_path))


def test_the_place_of_the_record_is_told_without_its_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = MlflowTracker(settings(f"sqlite:///{tmp_path}/record.db", tmp_path))
    tracker.uri = "http://u:secret@host:5000"
    assert tracker.summary()["tracking"] == "http://***@host:5000"
    serve(settings(tracker.uri, tmp_path), 5000)
    assert "open http://***@host:5000 in a browser" in capsys.readouterr().out


def test_the_servers_command_line_does_not_tell_where_the_record_is(tmp_path: Path) -> None:
    port, home = free_port(), tmp_path / "sesame"
    command = [sys.executable, "-c", SERVE, str(port)]
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(ROOT)])}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
        env=os.environ | paths, start_new_session=True, cwd=tmp_path,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(f"{home}\n")
    process.stdin.close()
    try:
        answers(port, process)
        lines = [" ".join(child.cmdline()) for child in psutil.Process(process.pid).children(recursive=True)]
        assert any("mlflow" in line for line in lines)
        assert not any("sesame" in line for line in lines)
        assert (home / "record.db").exists()
        assert not (tmp_path / "mlflow.db").exists(), "the server reads the record of the settings"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def answers(port: int, process: subprocess.Popen[str]) -> None:
    """Wait until a server is there."""
    while True:
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
        except OSError:
            assert process.poll() is None
            time.sleep(0.25)


@pytest.mark.parametrize("port", [-1, 0, 65536, 99999])
def test_a_port_that_cannot_be_is_refused_with_one_that_can(port: int) -> None:
    with pytest.raises(
        PortInUse, match=rf"ports are 1 to 65535, got {port}: try `lab ui --port \d+`"
    ) as told:
        require_free(port)
    require_free(int(str(told.value).rpartition(" ")[2].strip("`.")))

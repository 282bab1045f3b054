"""A store of files that is away while the record itself answers: what it is to keep waits as it does for the
record."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab.errors import TrackingUnreachable
from lab.settings import Settings
from lab.tracking.lease import this_process
from lab.tracking.mlflow import MlflowTracker
from lab.tracking.recorder import Recorder
from lab.tracking.spool import Spool
from tests.lab.toy import toy_spec

ME = this_process()


class Store(BaseHTTPRequestHandler):
    """Files over HTTP as MLflow puts and gets them."""

    files: dict[str, bytes]
    fault: str

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.fault == "broken off":
            self.close_connection = True
            return
        if self.fault == "none":
            self.files[self.path] = body
        self.send_response(200 if self.fault == "none" else int(self.fault))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Says nothing."""


@pytest.fixture
def store() -> Iterator[tuple[type[Store], str]]:
    kind = type("Here", (Store,), {"files": {}, "fault": "none"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield kind, f"http://127.0.0.1:{server.server_port}/files"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('record')}/record.db"


def keeping(database: str, artifacts: str, folder: Path) -> tuple[MlflowTracker, Recorder, str]:
    settings = Settings(
        tracking=database, artifacts=artifacts, storage=str(folder / "saved"), data="",
        experiment=folder.name,
    )  # fmt: skip
    tracker = MlflowTracker(settings)
    run = tracker.begin(toy_spec(), name="toy", owner=ME, tags={})
    recorder = Recorder(lambda: tracker, ME, 0.05, Spool(settings.storage))
    recorder.hold(run.run_id)
    return tracker, recorder, run.run_id


@pytest.mark.parametrize("fault", ["500", "502", "507", "broken off"])
def test_a_file_that_an_artifact_store_does_not_take_waits_in_the_spool_until_it_does(
    database: str, store: tuple[type[Store], str], tmp_path: Path, fault: str
) -> None:
    kind, place = store
    tracker, recorder, run_id = keeping(database, place, tmp_path)
    kind.fault = fault
    recorder.keep(run_id, "chain.jsonl", "one link", {"chain": "abc"})
    assert Spool(str(tmp_path / "saved")).holds(run_id)
    with pytest.raises(TrackingUnreachable, match="does not answer"):
        recorder.release(run_id)
    kind.fault = "none"
    recorder.release(run_id)
    recorder.close()
    assert list(kind.files.values()) == [b"one link"]
    assert tracker.runs()[0].tags["chain"] == "abc"
    assert not Spool(str(tmp_path / "saved")).holds(run_id)


def test_a_file_waits_too_where_the_folder_of_artifacts_is_not_to_be_written_into(
    database: str, tmp_path: Path
) -> None:
    folder = tmp_path / "artifacts"
    tracker, recorder, run_id = keeping(database, str(folder), tmp_path)
    folder.write_text("as when a disk is not mounted")
    recorder.keep(run_id, "chain.jsonl", "one link", {})
    assert Spool(str(tmp_path / "saved")).holds(run_id)
    folder.unlink()
    recorder.release(run_id)
    recorder.close()
    assert tracker.text(run_id, "chain.jsonl") == "one link"

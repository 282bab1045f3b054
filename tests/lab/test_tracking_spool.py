"""Values on disk while the record is away, and their way onto it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from lab.errors import RunTaken, TrackingUnreachable
from lab.tracking import recorder as recording
from lab.tracking.lease import this_process
from lab.tracking.memory import MemoryTracker
from lab.tracking.recorder import Recorder
from lab.tracking.spool import Keepsake, Spool
from lab.tracking.tracker import Scalar
from tests.lab.toy import toy_spec

ME = this_process()


class Away(MemoryTracker):
    """A record that nobody can reach while `away`."""

    away = False

    def log(self, run_id: str, scalars: Sequence[Scalar]) -> None:
        self._answer()
        super().log(run_id, scalars)

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        self._answer()
        super().tag(run_id, tags)

    def attach(self, run_id: str, path: Path, folder: str = "") -> None:
        self._answer()
        super().attach(run_id, path, folder)

    def _answer(self) -> None:
        if self.away:
            raise TrackingUnreachable("away")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "WRITE_SECONDS", 0.01)
    monkeypatch.setattr(recording, "LONGEST_PAUSE_SECONDS", 0.02)


def holding(tracker: MemoryTracker, storage: Path) -> tuple[Recorder, str]:
    run = tracker.begin(toy_spec(), name="toy", owner=ME, tags={})
    recorder = Recorder(lambda: tracker, ME, 0.05, Spool(str(storage)))
    recorder.hold(run.run_id)
    return recorder, run.run_id


def test_what_is_put_into_the_spool_comes_out_in_order_and_as_it_was(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path))
    spool.add("run", [Scalar("b", 2, 0.1), Scalar("a", 1, math.inf)])
    spool.add("run", [Scalar("a", 3, 1 / 3)], [Keepsake("chain.json", "über\n", {"chain": "1"})])
    scalars, keepsakes = Spool(str(tmp_path)).waiting("run")
    assert scalars == [Scalar("b", 2, 0.1), Scalar("a", 1, math.inf), Scalar("a", 3, 1 / 3)]
    assert keepsakes == [Keepsake("chain.json", "über\n", {"chain": "1"})]
    assert not spool.holds("another")
    spool.clear("run")
    assert not spool.holds("run")


def test_a_piece_that_a_kill_left_half_written_is_none(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path))
    spool.add("run", [Scalar("a", 1, 1.0)])
    (tmp_path / "spool" / "run" / ".partial-000001").mkdir()
    assert spool.waiting("run")[0] == [Scalar("a", 1, 1.0)]
    spool.add("run", [Scalar("a", 2, 2.0)])
    assert spool.waiting("run")[0] == [Scalar("a", 1, 1.0), Scalar("a", 2, 2.0)]


def test_training_goes_on_while_the_record_is_away_for_longer_than_the_patience(tmp_path: Path) -> None:
    tracker = Away()
    recorder, run = holding(tracker, tmp_path)
    recorder.log(run, [Scalar("train/loss", 0, 9.0)])
    recorder.flush(run)
    tracker.away = True
    for step in range(1, 6):
        recorder.log(run, [Scalar("train/loss", step, float(step))])
        recorder.flush(run)  # as before every checkpoint: raises nothing
    recorder.keep(run, "chain.json", "links", {"chain": "head"})
    with pytest.raises(TrackingUnreachable):
        recorder.release(run)  # and the run is not closed without them
    tracker.away = False
    recorder.release(run)
    assert tracker.history(run, "train/loss") == [(0, 9.0)] + [(step, float(step)) for step in range(1, 6)]
    assert tracker.runs()[0].tags["chain"] == "head"
    assert tracker._files[run] == {"chain.json": b"links"}
    assert not Spool(str(tmp_path)).holds(run)
    recorder.close()


def test_what_a_dead_command_left_in_the_spool_is_delivered_by_the_next_before_its_own(
    tmp_path: Path,
) -> None:
    tracker = Away()
    recorder, run = holding(tracker, tmp_path)
    tracker.away = True
    recorder.log(run, [Scalar("train/loss", 1, 1.0), Scalar("train/loss", 2, 2.0)])
    recorder.flush(run)
    recorder._closed = True  # as far as anybody can tell, it died here
    recorder._thread.join()
    tracker.away = False
    tracker._claims.clear()
    recorder, again = holding(tracker, tmp_path)
    assert again == run
    recorder.log(run, [Scalar("train/loss", 2, 7.0), Scalar("train/loss", 3, 3.0)])
    recorder.release(run)
    assert tracker.history(run, "train/loss") == [(1, 1.0), (2, 7.0), (3, 3.0)]
    recorder.close()


def test_a_run_that_somebody_else_took_meanwhile_gets_nothing_from_the_spool(tmp_path: Path) -> None:
    tracker = Away()
    recorder, run = holding(tracker, tmp_path)
    tracker.away = True
    recorder.log(run, [Scalar("train/loss", 1, 1.0)])
    recorder.flush(run)
    tracker._claims.clear()
    tracker.begin(toy_spec(), name="toy", owner="elsewhere:1:1", tags={})
    tracker.away = False
    with pytest.raises(RunTaken):
        recorder.release(run)
    assert tracker.history(run, "train/loss") == []
    recorder.close()

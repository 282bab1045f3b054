"""The recorder between those who measure and the record."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lab.errors import RecordError, RunTaken, TrackingUnreachable
from lab.tracking import recorder as recording
from lab.tracking.lease import owner_of, this_process
from lab.tracking.memory import MemoryTracker
from lab.tracking.recorder import Recorder, RunSink
from lab.tracking.spool import Spool
from lab.tracking.tracker import LEASE_SECONDS, RunRecord, Scalar, Status
from tests.lab.toy import toy_spec


def begun(tracker: MemoryTracker, owner: str) -> RunRecord:
    return tracker.begin(toy_spec(), name="toy", owner=owner, tags={})


def until(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def test_what_was_flushed_is_on_record() -> None:
    tracker, me = MemoryTracker(), this_process()
    run, recorder = begun(tracker, me), Recorder(lambda: tracker, me)
    recorder.hold(run.run_id)
    sink = RunSink(recorder, run.run_id)
    sink.log([Scalar("train/loss", step, 0.5) for step in range(3)])
    sink.flush()
    assert tracker.history(run.run_id, "train/loss") == [(0, 0.5), (1, 0.5), (2, 0.5)]
    recorder.close()


def test_what_is_logged_arrives_without_being_flushed() -> None:
    tracker, me = MemoryTracker(), this_process()
    run, recorder = begun(tracker, me), Recorder(lambda: tracker, me)
    recorder.hold(run.run_id)
    recorder.log(run.run_id, [Scalar("train/loss", 1, 0.5)])
    assert until(lambda: tracker.history(run.run_id, "train/loss") == [(1, 0.5)])
    recorder.close()


def test_nothing_is_written_into_a_run_that_was_released() -> None:
    tracker, me = MemoryTracker(), this_process()
    run, recorder = begun(tracker, me), Recorder(lambda: tracker, me)
    recorder.hold(run.run_id)
    recorder.log(run.run_id, [Scalar("train/loss", 1, 0.5)])
    recorder.release(run.run_id)
    recorder.log(run.run_id, [Scalar("train/loss", 2, 0.4)])
    recorder.close()
    assert tracker.history(run.run_id, "train/loss") == [(1, 0.5)]


def test_a_recorder_whose_owner_died_writes_nothing_more_and_lets_no_checkpoint_be_written() -> None:
    """A checkpoint beyond what is on record would leave a hole in the curve for ever."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    tracker, owner = MemoryTracker(), owner_of(process.pid)
    run, recorder = begun(tracker, owner), Recorder(lambda: tracker, owner)
    recorder.hold(run.run_id)
    process.kill()
    process.wait()
    recorder.log(run.run_id, [Scalar("train/loss", 1, 0.5)])
    with pytest.raises(RecordError, match="is gone, for which this run was trained"):
        recorder.flush(run.run_id)
    recorder.close()
    assert tracker.history(run.run_id, "train/loss") == []


def test_leases_are_renewed_and_a_lost_run_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "BEAT_SECONDS", 0.0)
    tracker, me = MemoryTracker(), "elsewhere:1:1"
    run, recorder = begun(tracker, me), Recorder(lambda: tracker, me)
    recorder.hold(run.run_id)
    first = time.time()
    assert until(lambda: tracker._lease(run.run_id).beat > first)
    now = time.time() + LEASE_SECONDS + 1
    monkeypatch.setattr("lab.tracking.memory.expired", lambda lease: True)
    tracker.begin(toy_spec(), name="toy", owner="another:2:2", tags={})
    assert now > first
    assert until(lambda: run.run_id not in recorder._held)
    recorder.log(run.run_id, [Scalar("train/loss", 1, 0.5)])
    recorder.close()
    assert tracker.history(run.run_id, "train/loss") == []


def test_what_is_measured_in_a_lost_run_is_neither_flushed_nor_released_in_silence() -> None:
    """Training would go on beside the one who has it now, and close it as complete with a hole in it."""
    tracker, me = MemoryTracker(), this_process()
    run, recorder = begun(tracker, me), Recorder(lambda: tracker, me)
    recorder.hold(run.run_id)
    tracker.end(run.run_id, Status.STOPPED, reason="somebody elsewhere took it for dead")
    recorder._beat()
    recorder.log(run.run_id, [Scalar("train/loss", 1, 0.5)])
    for call in (recorder.flush, recorder.release):
        with pytest.raises(RunTaken, match="goes on from its last checkpoint"):
            call(run.run_id)
    with pytest.raises(RunTaken):
        recorder.keep(run.run_id, "chain.json", "{}", {})
    begun(tracker, me)
    recorder.hold(run.run_id)
    recorder.log(run.run_id, [Scalar("train/loss", 1, 0.5)])
    recorder.release(run.run_id)
    assert tracker.history(run.run_id, "train/loss") == [(1, 0.5)]
    recorder.close()


def test_what_an_earlier_attempt_left_is_delivered_though_nobody_could_look_for_it_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(run_id: str) -> bool:
        raise RecordError("the store does not answer")

    tracker, me, spool = MemoryTracker(), this_process(), Spool(str(tmp_path))
    run, recorder = begun(tracker, me), Recorder(lambda: tracker, me, spool=spool)
    spool.add(run.run_id, [Scalar("train/loss", 1, 0.5)])
    with monkeypatch.context() as patch:
        patch.setattr(spool, "holds", silent)
        recorder.hold(run.run_id)
    recorder.release(run.run_id)
    assert tracker.history(run.run_id, "train/loss") == [(1, 0.5)]
    recorder.close()


def test_a_full_disk_does_not_end_the_renewal_of_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "WRITE_SECONDS", 0.01)
    monkeypatch.setattr(recording, "BEAT_SECONDS", 0.0)
    tracker, me, calls = MemoryTracker(), this_process(), list[str]()

    def beat(run_ids: object, owner: str) -> set[str]:
        calls.append(owner)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        return set()

    monkeypatch.setattr(tracker, "beat", beat)
    recorder = Recorder(lambda: tracker, me)
    assert until(lambda: len(calls) > 2)
    recorder.close()


class Away(MemoryTracker):
    """A record that cannot be reached for the first calls."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls = calls

    def log(self, run_id: str, scalars: Sequence[Scalar]) -> None:
        if self.calls:
            self.calls -= 1
            raise TrackingUnreachable("away")
        super().log(run_id, scalars)


def test_nothing_is_lost_and_nothing_reordered_while_the_record_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recording, "WRITE_SECONDS", 0.01)
    tracker, me = Away(calls=3), this_process()
    run, recorder = begun(tracker, me), Recorder(lambda: tracker, me)
    recorder.hold(run.run_id)
    for step in range(5):
        recorder.log(run.run_id, [Scalar("train/loss", step, float(step))])
    recorder.flush(run.run_id)
    assert tracker.history(run.run_id, "train/loss") == [(step, float(step)) for step in range(5)]
    tracker.end(run.run_id, Status.COMPLETE)
    recorder.close()


def test_a_flush_gives_up_when_the_record_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "WRITE_SECONDS", 0.01)
    tracker, me = Away(calls=10**9), this_process()
    run, recorder = begun(tracker, me), Recorder(lambda: tracker, me, patience=0.1)
    recorder.hold(run.run_id)
    recorder.log(run.run_id, [Scalar("train/loss", 1, 0.5)])
    with pytest.raises(TrackingUnreachable):
        recorder.flush(run.run_id)
    tracker.calls = 0
    recorder.close()
    assert tracker.history(run.run_id, "train/loss") == [(1, 0.5)]

"""A sweep whose trials run short of memory, cannot be begun, or end while nobody can be told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lab import Ablation, Case, Resources, Settings
from lab.agenda import AblationAgenda
from lab.drive import INFEASIBLE, NO_MORE, Drive
from lab.errors import RecordError, RunTaken, TrackingUnreachable
from lab.run import _closed_as
from lab.spec import ExperimentSpec
from lab.tracking.lease import this_process
from lab.tracking.memory import MemoryTracker
from lab.tracking.recorder import Recorder
from lab.tracking.spool import Spool
from lab.tracking.tracker import RunRecord, Status
from lab.trial import Work, run
from tests.lab.sweeping import sweep_of
from tests.lab.toy import ToyData, toy_spec

ME = this_process()


class Away(MemoryTracker):
    """A record that nobody can reach while `away`."""

    away = False

    def begin(self, spec: ExperimentSpec, **how: Any) -> RunRecord:
        self._answer()
        return super().begin(spec, **how)

    def end(self, run_id: str, status: Status, *, owner: str | None = None, reason: str = "") -> None:
        self._answer()
        super().end(run_id, status, owner=owner, reason=reason)

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        self._answer()
        super().tag(run_id, tags)

    def _answer(self) -> None:
        if self.away:
            raise TrackingUnreachable("away")


@pytest.fixture
def tracker() -> Away:
    return Away()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.outage.AWAY_LOOK_SECONDS", 0.0)


def driving(tracker: MemoryTracker, folder: Path, sweep: Ablation, patience: float = 60.0) -> Drive:
    settings = Settings("memory", str(folder), str(folder / "saved"), str(folder / "data"), patience=patience)
    parent = tracker.group(sweep.name, kind="ablation", scale=sweep.scale, owner=ME)
    drive = Drive(
        sweep, AblationAgenda(sweep), parent,
        resources=Resources(), settings=settings, tracker=tracker, say=lambda text: None,
    )  # fmt: skip
    drive.attach(Recorder(lambda: tracker, ME, 0.05, Spool(settings.storage)), 2)
    return drive


def ablation(cases: int) -> Ablation:
    found = sweep_of("ablation", cases=cases)
    assert isinstance(found, Ablation)
    return found


def work_of(drive: Drive, trial: str) -> Work:
    work = drive.propose(trial)
    assert isinstance(work, Work)
    return work


def test_a_trial_short_of_memory_is_tried_again_alone_after_all_others(tracker: Away, tmp_path: Path) -> None:
    drive = driving(tracker, tmp_path, ablation(3))
    hungry = work_of(drive, "hungry").spec.digest
    work_of(drive, "second")
    drive.finish("hungry", Status.FAILED, "the memory is not enough.", starved=True)
    assert tracker.find([hungry])[hungry].status is Status.STOPPED
    assert "tried again alone" in tracker.find([hungry])[hungry].tags["reason"]
    assert work_of(drive, "third").spec.digest != hungry
    assert drive.propose("not yet") is None
    drive.finish("second", Status.COMPLETE, "")
    assert drive.propose("not yet") is None
    drive.finish("third", Status.COMPLETE, "")
    assert work_of(drive, "alone").spec.digest == hungry
    assert drive.propose("nothing beside it") is None
    drive.finish("alone", Status.COMPLETE, "")
    assert drive.propose("no more") == NO_MORE
    assert (drive.tally.complete, drive.tally.failed, drive.tally.settled) == (3, 0, 3)
    assert tracker.find([hungry])[hungry].attempts == 2


def test_what_is_short_of_memory_alone_too_is_infeasible_and_the_sweep_goes_on(
    tracker: Away, tmp_path: Path
) -> None:
    drive = driving(tracker, tmp_path, ablation(2))
    first, second = work_of(drive, "1"), work_of(drive, "2")
    drive.finish("1", Status.FAILED, "the memory is not enough.", starved=True)
    drive.finish("2", Status.FAILED, "the memory is not enough.", starved=True)
    for trial, work in (("3", first), ("4", second)):
        assert work_of(drive, trial).spec == work.spec
        assert drive.propose("beside") is None
        drive.finish(trial, Status.FAILED, "the memory is not enough.", starved=True)
    assert drive.propose("no more") == NO_MORE
    drive.close()
    runs = tracker.runs()
    assert [(found.status, found.tags[INFEASIBLE]) for found in runs] == [(Status.FAILED, "true")] * 2
    assert drive.tally.failed == 2


def test_what_was_to_be_tried_alone_is_handed_out_when_a_record_that_was_away_is_back(
    tracker: Away, tmp_path: Path
) -> None:
    drive = driving(tracker, tmp_path, ablation(1))
    hungry = work_of(drive, "1").spec
    drive.finish("1", Status.FAILED, "the memory is not enough.", starved=True)
    tracker.away = True
    assert drive.propose("2") is None
    assert drive.propose("2") is None, "there is more"
    tracker.away = False
    assert work_of(drive, "2").spec == hungry
    assert drive.propose("beside") is None
    drive.finish("2", Status.FAILED, "the memory is not enough.", starved=True)
    assert drive.propose("no more") == NO_MORE
    assert tracker.runs()[0].tags[INFEASIBLE] == "true"


def test_what_was_to_be_tried_alone_and_was_made_by_another_meanwhile_holds_up_nobody(
    tracker: Away, tmp_path: Path
) -> None:
    drive = driving(tracker, tmp_path, ablation(3))
    for trial in ("1", "2", "3"):
        work_of(drive, trial)
    for trial in ("1", "2", "3"):
        drive.finish(trial, Status.FAILED, "the memory is not enough.", starved=True)
    first, second, third = tracker.runs()
    tracker.end(first.run_id, Status.COMPLETE)
    assert work_of(drive, "4").spec.digest == second.digest
    tracker.end(third.run_id, Status.COMPLETE)
    drive.finish("4", Status.COMPLETE, "")
    assert drive.propose("no more") == NO_MORE
    assert (drive.tally.complete, drive.tally.settled) == (3, 3)


def test_a_job_that_cannot_be_begun_is_told_and_passed_over(tracker: Away, tmp_path: Path) -> None:
    missing = toy_spec(data=ToyData(fault="missing"))
    sweep = Ablation("toys", "laptop", (Case("none", missing), Case("good", toy_spec())), seeds=(0,))
    drive = driving(tracker, tmp_path, sweep)
    assert work_of(drive, "1").spec.digest == toy_spec().digest
    drive.finish("1", Status.COMPLETE, "")
    assert drive.propose("2") == NO_MORE
    assert list(drive.not_begun) == ["none seed 0"]
    assert "run `lab data prepare toy`" in drive.not_begun["none seed 0"]
    assert (drive.tally.complete, drive.tally.failed) == (1, 1)


def test_a_recorder_that_cannot_take_a_run_ends_the_sweep_in_words_and_leaves_no_run_open(
    tracker: Away, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive = driving(tracker, tmp_path, ablation(2))

    def dead(run_id: str) -> None:
        raise RecordError("the process that writes the record has died (killed): repeat the command.")

    monkeypatch.setattr(drive.recorder, "hold", dead)
    with pytest.raises(RecordError, match="has died"):
        drive.propose("1")
    (run,) = tracker.runs()
    assert run.status is Status.STOPPED
    assert "has died" in run.tags["reason"]


def test_nothing_is_begun_while_the_record_is_away_and_everything_when_it_is_back(
    tracker: Away, tmp_path: Path
) -> None:
    drive = driving(tracker, tmp_path, ablation(3))
    work = work_of(drive, "1")
    tracker.away = True
    assert drive.propose("2") is None
    assert run(work, lambda values: None)["outcome"] == "complete"
    drive.finish("1", Status.COMPLETE, "")
    assert drive.propose("2") is None
    assert drive.tally.settled == 0
    tracker.away = False
    begun = {work_of(drive, "2").spec.digest, work_of(drive, "3").spec.digest, work.spec.digest}
    assert len(begun) == 3
    assert drive.tally.settled == 1
    done = tracker.find([work.spec.digest])[work.spec.digest]
    assert (done.status, done.attempts) == (Status.COMPLETE, 1)
    assert [step for step, _ in tracker.history(done.run_id, "validation/top1")] == [7, 14, 21]


def test_a_record_that_stays_away_ends_the_sweep_only_when_nothing_trains_any_more(
    tracker: Away, tmp_path: Path
) -> None:
    drive = driving(tracker, tmp_path, ablation(2), patience=1e-9)
    work_of(drive, "1")
    tracker.away = True
    for _ in range(3):
        assert drive.propose("2") is None
    drive.finish("1", Status.COMPLETE, "")
    with pytest.raises(TrackingUnreachable):
        drive.propose("2")
    drive.close()
    tracker.away = False
    (left,) = tracker.runs()
    assert left.status is Status.RUNNING, "its lease lapses with this process"


def test_a_run_that_was_closed_by_another_while_it_trained_is_not_complete_but_continued(
    tracker: Away, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever could see no sign of life took it for dead; what was measured since then is not on record."""
    monkeypatch.setattr("lab.backlog.TAKEN_LOOK_SECONDS", 0.0)
    drive = driving(tracker, tmp_path, ablation(1))
    spec = work_of(drive, "1").spec
    tracker.end(tracker.runs()[0].run_id, Status.STOPPED, reason="its process is gone")
    assert isinstance(drive.recorder, Recorder)
    drive.recorder._beat()
    drive.finish("1", Status.COMPLETE, "")
    assert tracker.find([spec.digest])[spec.digest].status is Status.STOPPED
    assert drive.tally.settled == 0
    again = work_of(drive, "2")
    assert again.spec == spec
    assert run(again, lambda values: None)["outcome"] == "complete"
    drive.finish("2", Status.COMPLETE, "")
    assert drive.propose("3") == NO_MORE
    done = tracker.find([spec.digest])[spec.digest]
    assert (done.status, done.attempts) == (Status.COMPLETE, 2)


def test_a_twin_of_a_job_that_was_done_elsewhere_in_the_end_is_settled_too(
    tracker: Away, tmp_path: Path
) -> None:
    sweep = Ablation("toys", "laptop", (Case("one", toy_spec()), Case("same", toy_spec())), seeds=(0,))
    drive = driving(tracker, tmp_path, sweep)
    spec = work_of(drive, "1").spec
    assert drive.propose("2") is None
    drive.finish("1", Status.FAILED, "the memory is not enough.", starved=True)
    tracker.end(tracker.find([spec.digest])[spec.digest].run_id, Status.COMPLETE)
    assert drive.propose("2") == NO_MORE
    assert (drive.tally.complete, drive.tally.settled) == (2, 2)


def test_one_run_that_another_process_has_by_now_is_left_to_it(tracker: Away) -> None:
    begun = tracker.begin(toy_spec(), name="toy", owner="another:2:2", tags={})
    with pytest.raises(RunTaken), _closed_as(tracker, begun, 0.0):
        raise RunTaken("taken over")
    assert tracker.runs()[0].status is Status.RUNNING

"""What a drive proposes reaches a lane, in whatever order lanes come back to the desk."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune
from ray.tune.search import Searcher

from lab import Resources, Settings, cluster
from lab.desk import CLOSED, Desk, Outcome
from lab.drive import NO_PLACE
from lab.errors import RecordError, RunError
from lab.lanes import IDLE_CRASHES, Lanes
from lab.run import run_sweep
from lab.tracking.memory import MemoryTracker
from lab.tracking.mlflow import MlflowTracker
from lab.tracking.recorder import Recorder
from lab.tracking.tracker import Status
from lab.tune import Clerk, _Ends, _Proposals, conduct
from lab.tune import lane as take_trials
from tests.lab.sweeping import sweep_of
from tests.lab.test_drive import Command

LANES = 2


@pytest.fixture(scope="module", autouse=True)
def connected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    settings = Settings.load({}, tmp_path_factory.mktemp("home"))
    with cluster.connected(settings, Resources(), groups=False):
        yield


@pytest.mark.parametrize("together", [True, False], ids=["both-at-once", "one-by-one"])
def test_every_trial_is_handed_out_once_and_the_desk_closes_after_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    """Two lanes that come back in the same turn leave the drive with nothing at work, but not at its end."""
    command = Command(MemoryTracker(), tmp_path)
    drive, recorder = command.drive(sweep_of("ablation", cases=5))
    monkeypatch.setattr(recorder, "sink", lambda run_id: run_id)  # nobody trains here
    clerk = Clerk(drive, ray.remote(Desk).remote(), LANES, lambda: False, lambda: None)
    handed_out: list[str] = []
    held: dict[str, Outcome | None] = {f"lane {number}": None for number in range(LANES)}
    for turn in range(12):
        clerk.on_step_begin(turn, [])
        for lane in list(held) if together else list(held)[turn % LANES :][:1]:
            slip = ray.get(clerk.desk.fetch.remote(lane, held[lane], 0.0))
            if slip == CLOSED:
                del held[lane]
            elif slip is None:
                held[lane] = None
            else:
                handed_out.append(ray.cloudpickle.loads(slip.work).spec.digest)
                held[lane] = Outcome(slip.trial, {"outcome": Status.COMPLETE.value})
    assert clerk.fault is None
    drive.close()
    recorder.close()
    assert sorted(handed_out) == sorted(run.digest for run in command.tracker.runs())
    assert len(handed_out) == len(set(handed_out)) == 5
    assert all(run.status is Status.COMPLETE for run in command.tracker.runs())
    if together:
        assert not held, "the desk was not closed"


def clerk_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Clerk, Recorder]:
    drive, recorder = Command(MemoryTracker(), folder).drive(sweep_of("ablation", cases=3))
    monkeypatch.setattr(recorder, "sink", lambda run_id: run_id)
    return Clerk(drive, ray.remote(Desk).remote(), LANES, lambda: False, lambda: None), recorder


def test_a_run_that_nobody_can_write_down_is_not_held_in_silence(tmp_path: Path) -> None:
    recorder = cluster.recorder(MemoryTracker, Settings.load({}, tmp_path))
    recorder.hold("a run")
    ray.kill(recorder._handle)
    with pytest.raises(RecordError, match="the process that writes the record has died"):
        recorder.hold("another")


class Refusing(MemoryTracker):
    """A record that takes no end of one run."""

    refused = ""

    def end(self, run_id: str, status: Status, *, owner: str | None = None, reason: str = "") -> None:
        if run_id == self.refused:
            raise RecordError("the record refuses")
        super().end(run_id, status, owner=owner, reason=reason)


def test_an_outcome_that_the_record_refuses_keeps_none_of_the_same_turn_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = Refusing()
    drive, recorder = Command(tracker, tmp_path).drive(sweep_of("ablation", cases=3))
    monkeypatch.setattr(recorder, "sink", lambda run_id: run_id)
    clerk = Clerk(drive, ray.remote(Desk).remote(), 3, lambda: False, lambda: None)
    clerk.on_step_begin(0, [])
    outcome = None
    while (slip := ray.get(clerk.desk.fetch.remote("lane", outcome, 0.0))) is not None:
        outcome = Outcome(slip.trial, {"outcome": "complete"})
    tracker.refused = tracker.runs()[0].run_id
    clerk.on_step_begin(1, [])
    assert isinstance(clerk.fault, RecordError)
    assert [run.status for run in tracker.runs()] == [Status.RUNNING, Status.COMPLETE, Status.COMPLETE]
    assert drive.tally.complete == 2
    tracker.refused = ""
    drive.close()
    assert [run.status for run in tracker.runs()] == [Status.COMPLETE] * 3, "it is told once more"
    recorder.close()


class Lane:
    """As Tune tells of one."""

    def __init__(self, trial_id: str = "lane") -> None:
        self.trial_id = trial_id

    def get_error(self) -> str:
        return "No module named 'lab'"


def test_lanes_that_die_before_they_come_to_the_desk_do_not_do_so_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune starts them again without end, and they never hear that the desk is closed."""
    clerk, recorder = clerk_of(tmp_path, monkeypatch)
    stopper = _Ends(lambda: clerk.hopeless)
    clerk.on_step_begin(0, [])
    for lane in ("one", "two"):
        for turn in range(IDLE_CRASHES):
            assert not stopper.stop_all()
            clerk.on_trial_recover(turn, [], Lane(lane))
    assert stopper.stop_all()
    with pytest.raises(RunError, match="keep dying, the last time because No module named"):
        clerk.require_end()
    recorder.close()


def test_a_lane_that_dies_for_ever_ends_no_sweep_in_which_another_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clerk, recorder = clerk_of(tmp_path, monkeypatch)
    stopper, outcome, turn = _Ends(lambda: clerk.hopeless), None, 0
    clerk.on_step_begin(turn, [])
    while (slip := ray.get(clerk.desk.fetch.remote("good", outcome, 0.0))) != CLOSED:
        outcome = slip and Outcome(slip.trial, {"outcome": Status.COMPLETE.value})
        turn += 1
        clerk.on_step_begin(turn, [])
        for _ in range(2 if slip else 0):
            clerk.on_trial_recover(turn, [], Lane("bad"))
            assert not stopper.stop_all()
    clerk.require_end()
    assert clerk.drive.tally.complete == 3
    assert stopper.stop_all(), "it would never hear that the desk is closed"
    clerk.on_trial_recover(turn, [], Lane("bad"))
    clerk.require_end()
    recorder.close()


def test_a_lane_rests_longer_each_time_and_not_after_it_had_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("lab.lanes.monotonic", lambda: now[0])
    lanes, rests = Lanes(2), list[float]()
    for _ in range(IDLE_CRASHES):
        lanes.died("bad")
        before = now[0]
        while lanes.rests("bad"):
            now[0] += 0.25
        rests.append(now[0] - before)
        assert not lanes.rests("good")
    assert rests == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]
    lanes.at_work("bad")
    lanes.died("bad")
    now[0] += 0.5
    assert not lanes.rests("bad")


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Path], None]:
    """Makes the processes of the first so many lanes die as soon as they are started; the others take their
    first trial when one of them has been given up."""
    monkeypatch.setattr("lab.lanes.FIRST_REST_SECONDS", 0.05)
    monkeypatch.setattr("lab.tune.IDLE_CRASHES", 2)

    def broken(number: int, given_up: Path) -> None:
        def dies(config: dict[str, Any], *, desk: Any) -> dict[str, int]:
            if int(tune.get_context().get_trial_id().rpartition("_")[2]) < number:
                os._exit(1)
            while not given_up.exists():
                time.sleep(0.05)
            return take_trials(config, desk=desk)

        monkeypatch.setattr("lab.tune.lane", dies)

    return broken


def told_to(said: list[str], given_up: Path) -> Callable[[str], None]:
    def say(line: str) -> None:
        said.append(line)
        if "given up" in line:
            given_up.touch()

    return say


def test_a_lane_whose_processes_keep_dying_is_given_up_and_the_sweep_goes_on_with_the_others(
    tmp_path: Path, breaking: Callable[[int, Path], None]
) -> None:
    settings, said, given_up = Settings.load({}, tmp_path), list[str](), tmp_path / "given up"
    breaking(1, given_up)
    records = run_sweep(
        sweep_of("ablation", cases=2), resources=Resources(cpus=0.5, concurrent=2), settings=settings,
        tracker=MlflowTracker(settings), progress=told_to(said, given_up),
    )  # fmt: skip
    assert [run.status for run in records] == [Status.COMPLETE] * 2
    (line,) = [line for line in said if "given up" in line]
    assert "its process died 2 times in a row without taking one" in line
    assert line.endswith("it goes on with 1 of 2")


def test_when_every_lane_is_given_up_the_sweep_says_so_and_its_runs_are_free(
    tmp_path: Path, breaking: Callable[[int, Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, sweep = Settings.load({}, tmp_path), sweep_of("ablation", cases=2)
    tracker, resources = MlflowTracker(settings), Resources(cpus=0.5, concurrent=2)
    breaking(2, tmp_path / "given up")
    with pytest.raises(RunError, match="the processes that are to train keep dying, the last time because"):
        run_sweep(sweep, resources=resources, settings=settings, tracker=tracker, progress=lambda line: None)
    assert {run.status for run in tracker.runs()} == {Status.STOPPED}
    monkeypatch.setattr("lab.tune.lane", take_trials)
    records = run_sweep(
        sweep, resources=resources, settings=settings, tracker=tracker, progress=lambda line: None
    )
    assert [run.status for run in records] == [Status.COMPLETE] * 2


def test_a_sweep_whose_lanes_are_all_given_up_has_not_ended_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clerk, recorder = clerk_of(tmp_path, monkeypatch)
    clerk.on_step_begin(0, [])
    for _ in range(LANES):
        clerk.on_trial_error(0, [], Lane())
    with pytest.raises(RunError, match="no process that could train was left"):
        clerk.require_end()
    clerk.drive.stop()
    clerk.require_end()
    recorder.close()


def test_a_wish_to_stop_is_heard_while_nothing_is_at_work_in_a_pruned_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive, recorder = Command(MemoryTracker(), tmp_path).drive(sweep_of("ablation", cases=3))
    assert _Proposals(drive, lambda: True).suggest("1") == Searcher.FINISHED
    assert drive.stopped
    recorder.close()


@pytest.mark.parametrize("kind", ["ablation", "search"], ids=["lanes", "pruned"])
def test_a_wish_to_stop_ends_a_sweep_that_waits_for_room_and_says_what_became_of_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """All CPUs are taken; Tune would wait for them for ever."""
    command, stopping = Command(MemoryTracker(), tmp_path), list[bool]()
    drive, recorder = command.drive(sweep_of(kind, cases=3, **({"prune": True} if kind == "search" else {})))
    monkeypatch.setattr(recorder, "sink", lambda run_id: run_id)
    taken = ray.remote(Desk).options(num_cpus=ray.cluster_resources()["CPU"]).remote()
    ray.get(taken.put.remote([]))

    def stop() -> bool:
        """Once a trial waits for its place."""
        stopping.extend([True] if list(drive.running()) else [])
        return bool(stopping)

    conduct(drive, stop)
    drive.close()
    recorder.close()
    ray.kill(taken)
    runs = command.tracker.runs()
    assert runs
    assert {(run.status, run.tags["reason"]) for run in runs} == {(Status.STOPPED, NO_PLACE)}
    assert command.parent(kind).status is Status.STOPPED
    assert "stopping: nothing is at work" in command.said

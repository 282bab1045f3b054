"""A command's way through a sweep, with the trials trained here one after the other, or side by side by
hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab import Ablation, Case, Resources, Search, Settings, Suggest
from lab.agenda import AblationAgenda
from lab.drive import NO_MORE, Drive
from lab.errors import DataChanged, RunTaken
from lab.origin import origin, require_same_data
from lab.search.agenda import SearchAgenda
from lab.search.replay import replay
from lab.search.trial import Trial
from lab.sweep import Sweep
from lab.tracking.lease import this_process
from lab.tracking.memory import MemoryTracker
from lab.tracking.recorder import Recorder
from lab.tracking.tracker import Scalar, Status, membership
from lab.trial import Work, run
from tests.lab.sweeping import sweep_of
from tests.lab.toy import ToyData, ToyModel, prepare_toy, toy_spec

ME = this_process()


class Command:
    """What `lab sweep` does, without Ray: one record and one folder over several commands."""

    def __init__(self, tracker: MemoryTracker, folder: Path) -> None:
        self.tracker, self.said = tracker, list[str]()
        self.settings = Settings("memory", str(folder), str(folder / "checkpoints"), str(folder / "data"))
        self.trained = list[str]()

    def drive(self, sweep: Sweep) -> tuple[Drive, Recorder]:
        kind = "search" if isinstance(sweep, Search) else "ablation"
        parent = self.tracker.group(sweep.name, kind=kind, scale=sweep.scale, owner=ME)
        agenda = (
            SearchAgenda(sweep, self.tracker, parent) if isinstance(sweep, Search) else AblationAgenda(sweep)
        )
        drive = Drive(
            sweep, agenda, parent,
            resources=Resources(), settings=self.settings, tracker=self.tracker, say=self.said.append,
        )  # fmt: skip
        recorder = Recorder(lambda: self.tracker, ME)
        drive.attach(recorder, 1)
        return drive, recorder

    def run(self, sweep: Sweep, report: Callable[[dict[str, Any]], object] = lambda values: None) -> Drive:
        """All of a sweep, one trial at a time."""
        drive, recorder = self.drive(sweep)
        for number in range(1000):
            work = drive.propose(str(number))
            if work == NO_MORE:
                break
            assert isinstance(work, Work)
            self.end(drive, str(number), work, report)
        drive.close()
        recorder.close()
        return drive

    def end(
        self,
        drive: Drive,
        trial_id: str,
        work: Work,
        report: Callable[[dict[str, Any]], object] = lambda values: None,
    ) -> None:
        """Train one trial and tell the drive of it."""
        self.trained.append(work.spec.digest)
        try:
            result = run(work, report)
        except SystemExit:
            drive.finish(trial_id, Status.PRUNED, "")
        else:
            drive.finish(
                trial_id, Status(result["outcome"]), result.get("reason", ""), result.get("traceback", "")
            )

    def parent(self, kind: str) -> Any:
        return self.tracker.parent("toys", kind=kind, scale="laptop")

    def trials(self) -> list[Trial]:
        tags = self.parent("search").tags
        return [Trial.from_json(text) for name, text in sorted(tags.items()) if name.startswith("trial.")]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(MemoryTracker(), tmp_path)


def test_a_sweep_is_run_once_and_repeating_it_trains_nothing(command: Command) -> None:
    sweep = sweep_of("ablation", cases=3, seeds=2)
    assert isinstance(sweep, Ablation)
    command.run(sweep)
    assert sorted(command.trained) == sorted({spec.digest for _, spec in sweep.specs()})
    assert command.parent("ablation").status is Status.COMPLETE
    again = command.run(sweep)
    assert len(command.trained) == 6
    assert (again.tally.settled, again.tally.reused) == (6, 6)
    assert len(again.runs) == 6


def test_extending_a_sweep_by_a_seed_or_a_case_trains_only_the_rest(command: Command) -> None:
    command.run(sweep_of("ablation", cases=2, seeds=1))
    command.run(sweep_of("ablation", cases=2, seeds=2))
    command.run(sweep_of("ablation", cases=3, seeds=2))
    assert len(command.trained) == len(set(command.trained)) == 6
    assert command.parent("ablation").status is Status.COMPLETE


def test_runs_know_their_sweep_their_case_their_parent_and_their_data(command: Command) -> None:
    command.run(sweep_of("ablation", cases=1))
    (made,) = command.tracker.runs(parent=command.parent("ablation").run_id)
    expected = {"sweep": "toys", "scale": "laptop", "case": "hidden 2", "fingerprint": "toy"}
    assert {name: made.tags[name] for name in expected} == expected


def test_a_run_that_another_sweep_made_is_not_made_again(command: Command) -> None:
    sweep = sweep_of("ablation", cases=2)
    command.run(sweep)
    command.run(replace(sweep, name="others"))
    assert len(command.trained) == 2


def test_a_run_is_of_every_sweep_that_made_it_or_found_it_done(command: Command) -> None:
    sweep = sweep_of("ablation", cases=1)
    assert isinstance(sweep, Ablation)
    spec = sweep.cases[0].with_seed(0)
    alone = command.tracker.begin(spec, name="alone", owner=ME, tags={"scale": "laptop"})
    command.tracker.end(alone.run_id, Status.COMPLETE)
    assert alone.sweeps == set()
    command.run(sweep)
    command.run(replace(sweep, name="others", cases=(replace(sweep.cases[0], label="the same"),)))
    (run,) = command.tracker.runs()
    assert run.sweeps == {"toys", "others"}
    assert run.tags[membership("toys", "laptop")] == "hidden 2"
    assert run.tags[membership("others", "laptop")] == "the same"
    assert command.trained == []


def test_a_run_that_a_sweep_continues_is_of_that_sweep(command: Command) -> None:
    sweep = sweep_of("ablation", cases=1)
    assert isinstance(sweep, Ablation)
    alone = command.tracker.begin(sweep.cases[0].with_seed(0), name="alone", owner=ME, tags={})
    command.tracker.end(alone.run_id, Status.STOPPED)
    command.run(sweep)
    (run,) = command.tracker.runs()
    assert (run.status, run.sweeps, run.tags["case"]) == (Status.COMPLETE, {"toys"}, "hidden 2")
    assert run.parent == command.parent("ablation").run_id


@pytest.mark.parametrize("kind", ["ablation", "search"])
def test_a_sweep_refuses_results_that_were_made_from_other_data(command: Command, kind: str) -> None:
    sweep = sweep_of(kind, cases=2)
    data = Path(command.settings.data)
    prepare_toy(data, edition=1)
    command.run(sweep)
    prepare_toy(data, edition=2)
    drive, recorder = command.drive(sweep)
    with pytest.raises(
        DataChanged, match=r"made from toy toy\.1, but .* holds toy\.2: prepare the old"
    ) as told:
        drive.require_same_data()
    assert "\n" not in str(told.value)
    drive.close()
    recorder.close()
    prepare_toy(data, edition=1)
    assert command.run(sweep).tally.settled == 2
    assert len(command.trained) == 2


def test_what_has_measured_other_data_is_not_continued_and_what_has_measured_nothing_is(
    command: Command,
) -> None:
    sweep = sweep_of("ablation", cases=1)
    assert isinstance(sweep, Ablation)
    spec = sweep.cases[0].with_seed(0)
    prepare_toy(Path(command.settings.data), edition=1)
    run = command.tracker.begin(spec, name="toys", owner=ME, tags=origin(spec, command.settings))
    command.tracker.end(run.run_id, Status.STOPPED)
    prepare_toy(Path(command.settings.data), edition=2)
    require_same_data(command.tracker.runs()[0], spec, command.settings)
    command.tracker.log(run.run_id, [Scalar("train/loss", 1, 0.5)])
    with pytest.raises(DataChanged):
        command.run(sweep)
    assert command.trained == []


def test_a_failed_run_does_not_end_the_sweep_and_is_tried_again_by_the_next_command(command: Command) -> None:
    good = toy_spec()
    bad = toy_spec(data=ToyData(poison=True))
    drive = command.run(Ablation("toys", "laptop", (Case("bad", bad), Case("good", good)), seeds=(0,)))
    assert drive.runs[good.digest].status is Status.COMPLETE
    failed = drive.runs[bad.digest]
    assert failed.status is Status.FAILED
    assert "the loss is nan at step 1" in failed.tags["reason"]
    assert any("bad seed 0: failed the loss is nan" in line for line in command.said)
    assert command.parent("ablation").status is Status.STOPPED
    command.run(Ablation("toys", "laptop", (Case("bad", bad), Case("good", good)), seeds=(0,)))
    assert command.trained == [bad.digest, good.digest, bad.digest]
    assert command.tracker.find([bad.digest])[bad.digest].attempts == 2


class Broken(ToyModel):
    """A model with a fault that is none of ours."""

    def build(self) -> Any:
        raise RuntimeError("out of paint\nand more")


def test_a_fault_in_somebodys_model_is_a_failure_with_its_traceback(command: Command) -> None:
    spec = toy_spec(model=Broken())
    drive = command.run(Ablation("toys", "laptop", (Case("broken", spec),), seeds=(0,)))
    tags = drive.runs[spec.digest].tags
    assert tags["reason"] == "RuntimeError: out of paint"
    assert "in build" in tags["traceback"]


def test_a_search_reuses_what_it_tried_before_instead_of_training_it_again(command: Command) -> None:
    def two(suggest: Suggest) -> Mapping[str, Any]:
        return {"batch_size": suggest.choice("batch_size", [7, 10])}

    found = sweep_of("search", cases=6)
    assert isinstance(found, Search)
    drive = command.run(replace(found, space=two))
    assert len(command.trained) == len(set(command.trained)) <= 2
    assert drive.tally.settled == 6
    assert [trial.outcome for trial in command.trials()] == ["complete"] * 6
    assert len({(trial.digest, trial.value) for trial in command.trials()}) == len(command.trained)


def test_two_trials_with_one_experiment_at_the_same_time_share_one_run(command: Command) -> None:
    found = sweep_of("search", cases=3)
    assert isinstance(found, Search)
    drive, recorder = command.drive(
        replace(found, space=lambda suggest: {"batch_size": suggest.choice("batch_size", [7])})
    )
    work = drive.propose("first")
    assert isinstance(work, Work)
    assert drive.propose("second") is None  # both others wait for the first
    command.end(drive, "first", work)
    drive.close()
    recorder.close()
    assert [trial.value for trial in command.trials()] == [command.trials()[0].value] * 3
    assert len(command.tracker.runs()) == 1
    assert command.parent("search").status is Status.COMPLETE


def test_a_search_interrupted_at_any_trial_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    found = sweep_of("search", cases=7)
    whole = Command(MemoryTracker(), tmp_path / "whole")
    whole.run(found)
    for ended in (0, 3, 6):
        broken = Command(MemoryTracker(), tmp_path / str(ended))
        drive, recorder = broken.drive(found)
        for number in range(ended):
            broken.end(drive, str(number), drive.propose(str(number)))  # type: ignore[arg-type]
        lost = drive.propose("lost")  # begun, and then its command dies
        assert isinstance(lost, Work)
        recorder.close()
        broken.tracker.reconcile()
        for record in [*broken.tracker.runs(), broken.parent("search")]:
            if record.status is Status.RUNNING:
                broken.tracker.end(record.run_id, Status.STOPPED)
        broken.run(found)
        assert broken.trials() == whole.trials()
        assert {r.digest for r in broken.tracker.runs()} == {r.digest for r in whole.tracker.runs()}
        assert broken.tracker.find([lost.spec.digest])[lost.spec.digest].attempts == 2


def test_more_trials_go_on_where_the_search_had_ended_and_fewer_are_nothing_to_do(command: Command) -> None:
    command.run(sweep_of("search", cases=6))
    six = command.trials()
    command.run(sweep_of("search", cases=8))
    assert command.trials()[:6] == six
    assert len(command.trained) == 8
    command.run(sweep_of("search", cases=4))
    assert len(command.trained) == 8
    found = sweep_of("search", cases=8)
    assert isinstance(found, Search)
    assert replay(found, command.trials()) == []


def test_a_search_around_another_base_begins_anew(command: Command) -> None:
    found = sweep_of("search", cases=3)
    assert isinstance(found, Search)
    command.run(found)
    command.run(replace(found, base=found.base.override({"clip": 1.0})))
    assert len(set(command.trained)) == 6


def test_a_suggestion_that_makes_no_experiment_is_told_as_a_failure(command: Command) -> None:
    def odd(suggest: Suggest) -> Mapping[str, Any]:
        return {"clip": suggest.real("clip", -1.0, 1.0)}

    found = sweep_of("search", cases=8)
    assert isinstance(found, Search)
    drive = command.run(replace(found, space=odd))
    outcomes = {trial.number: trial.outcome for trial in command.trials()}
    negative = {trial.number for trial in command.trials() if trial.params["clip"] <= 0}
    assert negative
    assert {number for number, outcome in outcomes.items() if outcome == "failed"} == negative
    assert set(drive.agenda.refused()) == negative
    assert drive.tally.settled == 8
    assert command.parent("search").status is Status.COMPLETE


def test_a_trial_that_the_scheduler_ends_is_pruned_with_a_checkpoint_and_counts_as_tried(
    command: Command,
) -> None:
    found = sweep_of("search", cases=3, prune=True)
    reports: list[dict[str, Any]] = []

    def end_the_second_at_its_second_report(values: dict[str, Any]) -> None:
        reports.append(values)
        if len(command.trained) == 2 and values["evaluation"] == 2:
            raise SystemExit(0)

    command.run(found, end_the_second_at_its_second_report)
    outcomes = [trial.outcome for trial in command.trials()]
    assert outcomes == ["complete", "pruned", "complete"]
    pruned = command.trials()[1]
    # An epoch has 7 or 10 steps and is evaluated every 7; the last evaluation, at step 21, is never reported.
    assert list(pruned.intermediate) == [7, 14]
    assert [values["evaluation"] for values in reports] == [1, 2, 1, 2, 1, 2]
    folder = Path(command.settings.storage) / pruned.digest
    assert [place.name for place in folder.glob("step-*")] == ["step-000000014"]
    command.run(found)
    assert len(command.trained) == 3


def test_a_stop_leaves_runs_that_the_next_command_continues(command: Command) -> None:
    sweep = sweep_of("ablation", cases=2)
    drive, recorder = command.drive(sweep)
    work = drive.propose("a")
    assert isinstance(work, Work)
    drive.stop()
    command.end(drive, "a", work)
    assert drive.propose("b") == NO_MORE
    drive.close()
    recorder.close()
    stopped = command.tracker.find([work.spec.digest])[work.spec.digest]
    assert stopped.status is Status.STOPPED
    assert "stopped after step 1 of 21" in stopped.tags["reason"]
    assert command.parent("ablation").status is Status.STOPPED
    command.run(sweep)
    assert command.tracker.find([work.spec.digest])[work.spec.digest].attempts == 2
    assert [step for step, _ in command.tracker.history(stopped.run_id, "validation/top1")] == [7, 14, 21]


def test_a_run_that_another_process_has_is_waited_for_and_then_reused(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.backlog.TAKEN_LOOK_SECONDS", 0.01)
    sweep = sweep_of("ablation", cases=1)
    assert isinstance(sweep, Ablation)
    spec = sweep.cases[0].with_seed(0)
    other = command.tracker.begin(spec, name="other", owner="elsewhere:1:1", tags={})
    drive, recorder = command.drive(sweep)
    for _ in range(3):
        assert drive.propose("a") is None
        time.sleep(0.02)
    (waiting,) = [line for line in command.said if "waits" in line]
    assert waiting.startswith("hidden 2 seed 0 waits: other is being run by process 1 on elsewhere")
    command.tracker.end(other.run_id, Status.COMPLETE)
    time.sleep(0.02)
    assert drive.propose("a") == NO_MORE
    drive.close()
    recorder.close()
    assert command.trained == []
    assert command.parent("ablation").status is Status.COMPLETE


def test_a_sweep_that_another_process_runs_is_refused(command: Command) -> None:
    command.tracker.group("toys", kind="ablation", scale="laptop", owner="elsewhere:1:1")
    with pytest.raises(RunTaken):
        command.run(sweep_of("ablation"))


def test_the_parent_shows_the_best_value_so_far(command: Command) -> None:
    drive = command.run(sweep_of("search", cases=5))
    parent = command.parent("search")
    values = [trial.value or 0.0 for trial in command.trials()]
    curve = command.tracker.history(parent.run_id, "best/validation/top1")
    assert [value for _, value in curve] == list(running_best(values))
    assert parent.tags["best"] == drive.tally.best_run


def running_best(values: list[float]) -> Iterator[float]:
    for end in range(1, len(values) + 1):
        yield max(values[:end])

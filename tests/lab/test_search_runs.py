"""Searches as commands without Ray: confirmed, warm, within a budget, and leaving alone what tables need."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab import Ablation, Asha, Case, Confirm, Grid, Random, Resources, Search, Steps, Suggest
from lab.budget import Budget, Purse
from lab.drive import NO_MORE, Drive
from lab.errors import SpecError
from lab.forecast import Range
from lab.search.agenda import CONFIRMS, SearchAgenda
from lab.search.ledger import Ledger
from lab.search.needed import needed
from lab.search.replay import replayed, verify
from lab.search.winners import told, tried, winners
from lab.tracking.memory import MemoryTracker
from lab.tracking.recorder import Recorder
from lab.tracking.tracker import Scalar, Status, membership
from lab.trial import Work
from tests.lab.test_drive import ME, Command
from tests.lab.toy import ToyModel, toy_spec


def space(suggest: Suggest) -> Mapping[str, Any]:
    return {
        "optimizer.lr": suggest.real("optimizer.lr", 1e-4, 1e-1, log=True),
        "model": ToyModel(hidden=suggest.integer("model.hidden", 2, 32, log=True)),
    }


def search(**changes: Any) -> Search:
    return replace(Search("toys", "laptop", toy_spec(duration=Steps(7)), space, trials=5), **changes)


CONFIRMING = search(confirm=Confirm(best=2, seeds=(5, 6)))


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(MemoryTracker(), tmp_path)


def best_two(command: Command) -> list[str]:
    runs = {run.digest: run for run in command.tracker.runs() if run.seed == 0}
    return sorted(runs, key=lambda digest: -runs[digest].metrics["validation/top1"])[:2]


# The winner's curse ----------------------------------------------------------------------------------------


def test_the_best_are_run_again_on_fresh_seeds_when_all_trials_have_ended(command: Command) -> None:
    drive = command.run(CONFIRMING)
    runs = command.tracker.runs()
    assert [run.seed for run in runs] == [0] * 5 + [5, 5, 6, 6]
    again = {run.digest for run in runs if run.seed}
    expected = {
        command_spec(command, digest).override({"seed": seed}).digest
        for digest, seed in itertools.product(best_two(command), (5, 6))
    }
    assert again == expected
    assert (drive.tally.settled, drive.tally.total) == (9, 9)
    assert command.parent("search").status is Status.COMPLETE
    labels = [run.tags[membership("toys", "laptop")] for run in runs]
    assert labels[:5] == list("01234")
    assert all(label.startswith(CONFIRMS) for label in labels[5:])


def command_spec(command: Command, digest: str) -> Any:
    return type(toy_spec()).from_json(command.tracker.find([digest])[digest].spec)


def test_a_fresh_seed_that_scores_better_is_not_the_best_of_the_search(command: Command) -> None:
    drive = command.run(CONFIRMING)
    best = max(run.metrics["validation/top1"] for run in command.tracker.runs() if run.seed == 0)
    assert drive.tally.best == best


@pytest.mark.parametrize("done", [0, 4, 5, 6, 8])
def test_a_search_killed_at_any_run_ends_with_the_same_winners(tmp_path: Path, done: int) -> None:
    whole = Command(MemoryTracker(), tmp_path / "whole")
    whole.run(CONFIRMING)
    broken = Command(MemoryTracker(), tmp_path / "broken")
    drive, recorder = broken.drive(CONFIRMING)
    for number in range(done):
        broken.end(drive, str(number), drive.propose(str(number)))  # type: ignore[arg-type]
    assert isinstance(drive.propose("lost"), Work)
    recorder.close()
    for record in [*broken.tracker.runs(), broken.parent("search")]:
        if record.status is Status.RUNNING:
            broken.tracker.end(record.run_id, Status.STOPPED)
    broken.run(CONFIRMING)
    assert len(broken.tracker.runs()) == 9
    assert winners(CONFIRMING, broken.tracker) == winners(CONFIRMING, whole.tracker)
    broken.run(CONFIRMING)
    assert len(broken.tracker.runs()) == 9


def test_what_a_search_came_to_is_told_with_how_many_were_tried(command: Command) -> None:
    command.run(CONFIRMING)
    found = winners(CONFIRMING, command.tracker)
    best = command.tracker.find(best_two(command))
    assert [w.trial.value for w in found] == [best[d].metrics["validation/top1"] for d in best_two(command)]
    fresh = {run.digest: run.metrics["validation/top1"] for run in command.tracker.runs() if run.seed}
    specs = [command_spec(command, digest) for digest in best_two(command)]
    assert [sorted(w.fresh) for w in found] == [
        sorted(fresh[spec.override({"seed": seed}).digest] for seed in (5, 6)) for spec in specs
    ]
    assert tried(CONFIRMING, command.tracker) == 5
    lines = list(told(CONFIRMING, found, 5))
    assert "selected as the best of 5; " in lines[0]
    assert "on fresh seeds (n=2)" in lines[0]


def test_a_search_cannot_confirm_with_the_seed_it_chooses_by() -> None:
    with pytest.raises(SpecError, match="seed 0 is what the search chooses by"):
        search(confirm=Confirm(seeds=(0, 1)))


# What tables need ------------------------------------------------------------------------------------------


def test_what_an_ablation_refers_to_is_trained_to_its_end_whatever_prunes_the_rest(command: Command) -> None:
    """Everything that may be pruned is, at its first report; the case of the ablation never reports."""
    two = search(
        base=toy_spec(),
        space=lambda suggest: {"batch_size": suggest.choice("batch_size", [7, 10])},
        sampler=Grid(),
        pruning=Asha(),
    )
    ablation = Ablation("table", "laptop", (Case("ten", toy_spec()),), seeds=(0, 1))
    held = needed([ablation, two])
    assert held == {toy_spec().digest, toy_spec(seed=1).digest}

    def end(values: dict[str, Any]) -> None:
        raise SystemExit(0)

    drive, recorder = driven(command, two, needed=held)
    number = 0
    while (work := drive.propose(str(number))) != NO_MORE:
        assert isinstance(work, Work)
        command.end(drive, str(number), work, end)
        number += 1
    drive.close()
    recorder.close()
    status = {run.digest: run.status for run in command.tracker.runs()}
    assert status == {toy_spec().digest: Status.COMPLETE, toy_spec(batch_size=7).digest: Status.PRUNED}
    history = command.tracker.history(command.tracker.find(held)[toy_spec().digest].run_id, "validation/top1")
    assert [step for step, _ in history] == [7, 14, 21]


def test_a_run_that_a_search_had_pruned_is_continued_for_the_table(command: Command) -> None:
    pruning = search(base=toy_spec(), space=lambda suggest: {}, trials=1, pruning=Asha())

    def end(values: dict[str, Any]) -> None:
        raise SystemExit(0)

    command.run(pruning, end)
    (run,) = command.tracker.runs()
    assert run.status is Status.PRUNED
    command.run(Ablation("toys", "laptop", (Case("ten", toy_spec()),), seeds=(0,)))
    (run,) = command.tracker.runs()
    assert run.status is Status.COMPLETE
    assert [step for step, _ in command.tracker.history(run.run_id, "validation/top1")] == [7, 14, 21]


def pruning_sevens(command: Command, found: Search) -> Drive:
    """A search whose trials with batches of seven are all pruned at their first report."""

    def report(values: dict[str, Any]) -> None:
        if command.trained[-1] == toy_spec(batch_size=7).digest:
            raise SystemExit(0)

    return command.run(found, report)


TENS_AND_SEVENS = search(
    base=toy_spec(),
    space=lambda suggest: {"batch_size": suggest.choice("batch_size", [7, 10])},
    trials=6,
    sampler=Random(),
    pruning=Asha(),
)


def test_an_experiment_that_is_suggested_again_after_it_was_pruned_is_pruned_again_and_not_trained(
    command: Command,
) -> None:
    drive = pruning_sevens(command, TENS_AND_SEVENS)
    sevens = [trial for trial in command.trials() if trial.digest == toy_spec(batch_size=7).digest]
    assert len(sevens) > 1
    assert len(command.trained) == len(set(command.trained)) == 2
    assert {(trial.outcome, trial.value) for trial in sevens} == {("pruned", None)}
    assert [dict(trial.intermediate) for trial in sevens] == [dict(sevens[0].intermediate)] * len(sevens)
    assert list(sevens[0].intermediate) == [10]
    assert (drive.tally.pruned, drive.tally.complete) == (len(sevens), 6 - len(sevens))
    run = command.tracker.find([sevens[0].digest])[sevens[0].digest]
    assert (run.status, run.attempts) == (Status.PRUNED, 1)
    told = [line for line in command.said if f"pruned as trial {sevens[0].number} was" in line]
    assert len(told) == len(sevens) - 1
    assert replayed(TENS_AND_SEVENS, command.parent("search")).verified


def test_without_pruning_the_same_search_trains_to_its_end_what_it_had_pruned_and_keeps_both_outcomes(
    command: Command,
) -> None:
    pruning_sevens(command, TENS_AND_SEVENS)
    command.run(replace(TENS_AND_SEVENS, pruning=None, trials=12))
    seven = toy_spec(batch_size=7).digest
    outcomes = [trial.outcome for trial in command.trials() if trial.digest == seven]
    before = sum(trial.digest == seven for trial in command.trials()[:6])
    assert len(outcomes) > before
    assert outcomes == ["pruned"] * before + ["complete"] * (len(outcomes) - before)
    run = command.tracker.find([seven])[seven]
    assert (run.status, run.attempts) == (Status.COMPLETE, 2)
    assert [step for step, _ in command.tracker.history(run.run_id, "validation/top1")] == [10, 20, 30]
    again = command.run(replace(TENS_AND_SEVENS, trials=12))
    assert again.tally.pruned == before, "trials that were pruned are not complete because their run is"


def test_what_a_table_has_trained_to_its_end_is_complete_for_the_search_that_had_pruned_it(
    command: Command,
) -> None:
    pruning_sevens(command, replace(TENS_AND_SEVENS, trials=3))
    seven = toy_spec(batch_size=7)
    before = sum(trial.digest == seven.digest for trial in command.trials())
    assert before
    command.run(Ablation("table", "laptop", (Case("seven", seven),), seeds=(0,)))
    pruning_sevens(command, replace(TENS_AND_SEVENS, trials=9))
    outcomes = [trial.outcome for trial in command.trials() if trial.digest == seven.digest]
    assert outcomes == ["pruned"] * before + ["complete"] * (len(outcomes) - before)
    assert len(outcomes) > before


def driven(command: Command, sweep: Search, **more: Any) -> tuple[Drive, Recorder]:
    parent = command.tracker.group(sweep.name, kind="search", scale=sweep.scale, owner=ME)
    agenda = SearchAgenda(sweep, command.tracker, parent)
    drive = Drive(
        sweep, agenda, parent, resources=Resources(), settings=command.settings, tracker=command.tracker,
        say=command.said.append, **more,
    )  # fmt: skip
    recorder = Recorder(lambda: command.tracker, ME)
    drive.attach(recorder, 1)
    return drive, recorder


# A warm start, replayed ------------------------------------------------------------------------------------


def finish(tracker: MemoryTracker, rate: float, value: float) -> None:
    spec = CONFIRMING.base.override({"optimizer.lr": rate})
    run = tracker.begin(spec, name="toy", owner=ME, tags={membership("older", "laptop"): "a case"})
    tracker.log(run.run_id, [Scalar("validation/top1", 7, value)])
    tracker.end(run.run_id, Status.COMPLETE)


def test_a_warm_start_is_written_down_and_what_ends_later_does_not_change_it(command: Command) -> None:
    found = search(warm=("older",), trials=3)
    for n in range(12):
        finish(command.tracker, 0.001 * (n + 1), n / 20)
    command.run(found)
    begun = Ledger.of(found, command.parent("search"))
    assert len(begun.warm) == 12
    finish(command.tracker, 0.05, 0.99)
    command.run(replace(found, trials=4))
    after = Ledger.of(found, command.parent("search"))
    assert after.warm == begun.warm
    assert after.trials[:3] == begun.trials
    assert replayed(found, command.parent("search")).verified


def test_a_search_with_another_sampler_begins_anew_beside_the_first(command: Command) -> None:
    command.run(search(trials=3))
    command.run(search(trials=3, seed=1))
    assert len(command.tracker.runs()) == 6
    for seed in (0, 1):
        assert len(Ledger.of(search(seed=seed), command.parent("search")).trials) == 3


def test_the_record_of_a_search_is_verified_or_the_odd_trials_named(command: Command) -> None:
    found = search(trials=4)
    command.run(found)
    (good,) = verify(command.tracker, {"toys": lambda: found, "no search": lambda: None})
    assert good.verified
    assert good.line() == "toys at laptop scale: 4 trials, each derived again from what it had seen"
    parent = command.parent("search")
    name = next(name for name in parent.tags if name.endswith(".0002"))
    trial = Ledger.of(found, parent).trials[2]
    forged = replace(trial, params={**trial.params, "optimizer.lr": 0.05})
    command.tracker.tag(parent.run_id, {name: forged.to_json()})
    bad = replayed(found, command.parent("search"))
    assert (bad.odd, bad.altered) == ((2,), (2,))
    assert "trial 2 would not be suggested, trial 2 would be another experiment" in bad.line()


# A budget --------------------------------------------------------------------------------------------------


def test_a_search_within_a_budget_stops_before_it_and_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    found = search(trials=6)
    whole = Command(MemoryTracker(), tmp_path / "whole")
    whole.run(found)
    poor = Command(MemoryTracker(), tmp_path / "poor")
    now = [0.0]
    purse = Purse(Budget.parse("35min"), lambda spec: Range(1, 1, 600), Resources(), lambda: now[0])
    drive, recorder = driven(poor, found, purse=purse)
    number = 0
    while (work := drive.propose(str(number))) != NO_MORE:
        assert isinstance(work, Work)
        poor.end(drive, str(number), work)
        number, now[0] = number + 1, now[0] + 600
    drive.close()
    recorder.close()
    assert len(poor.trained) == 3, "a fourth might end after 40 minutes"
    assert "left out by the budget of 35min" in drive.allowance.told()
    assert "trial 3" in drive.allowance.told()
    assert poor.parent("search").status is Status.STOPPED
    poor.run(found)
    assert poor.trials() == whole.trials()

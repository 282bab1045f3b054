"""Spaces: names are fields, conditions are asked and not filtered, and a run can be found in one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lab import Grid, Search, Suggest, Tpe
from lab.errors import SpecError
from lab.search.study import Study
from lab.search.suggest import again, suggest
from lab.search.warm import as_trials, warm_trials
from lab.spec import ExperimentSpec
from lab.tracking.memory import MemoryTracker
from lab.tracking.tracker import Scalar, Status, membership
from tests.lab.toy import ToyModel, toy_spec


def of(space: Any, **changes: Any) -> Search:
    return replace(Search("toys", "laptop", toy_spec(), space, trials=4), **changes)


def test_an_axis_that_is_no_field_is_refused_before_anything_runs_with_the_near_miss() -> None:
    with pytest.raises(SpecError, match=r"asks for 'model.hiden', which .* Did you mean 'model.hidden'"):
        of(lambda suggest: {"model.hidden": suggest.choice("model.hiden", [2, 4])})
    with pytest.raises(SpecError, match=r"asks for 'optimiser.lr', .* Did you mean 'optimizer.lr'"):
        of(lambda suggest: {"optimiser.lr": suggest.real("optimizer.lr", 0.1, 0.2)})


def test_an_axis_that_only_some_branch_asks_for_is_refused_when_it_is_asked() -> None:
    def space(suggest: Suggest) -> Mapping[str, Any]:
        chosen = suggest.choice("batch_size", [2, 7])
        return {"batch_size": chosen} | ({"clipp": suggest.real("clipp", 1, 2)} if chosen == 7 else {})

    found = of(space, sampler=Grid())
    with pytest.raises(SpecError, match=r"'clipp', which is no field of its base. Did you mean 'clip'"):
        _ = found.total


def test_a_field_of_a_part_that_the_search_replaces_may_be_asked_for() -> None:
    def space(suggest: Suggest) -> Mapping[str, Any]:
        model = suggest.choice("model", [ToyModel(), ToyModel(dropout=0.1)])
        return {"model": replace(model, hidden=suggest.integer("model.size", 2, 4))}

    assert Study(of(space)).ask() is not None


def test_a_search_cannot_choose_the_luckiest_seed() -> None:
    with pytest.raises(SpecError, match="cannot choose the seed"):
        of(lambda suggest: {"seed": suggest.integer("seed", 0, 9)})


def test_a_choice_among_nothing_is_refused() -> None:
    with pytest.raises(SpecError, match="clip: a choice needs an option or more"):
        of(lambda suggest: {"clip": suggest.choice("clip", [])})


def conditional(suggest: Suggest) -> Mapping[str, Any]:
    """Divisors of what was chosen before."""
    batch = suggest.choice("batch_size", [4, 6])
    parts = [n for n in range(1, batch + 1) if batch % n == 0]
    return {"batch_size": batch, "model.hidden": 2 * suggest.choice("model.hidden", parts, given=batch)}


def test_what_cannot_be_combined_is_never_suggested() -> None:
    every = {(a, b) for a, b in itertools.product((4, 6), range(1, 7)) if a % b == 0}
    study = Study(of(conditional, trials=60))
    seen = set()
    while (suggestion := study.ask()) is not None:
        seen.add((suggestion.changes["batch_size"], suggestion.changes["model.hidden"] // 2))
        study.keep(suggestion.trial.ended("complete", 0.5))
    assert seen == every


def test_options_that_depend_on_an_answer_are_an_axis_of_their_own() -> None:
    names = {name for n in range(20) for name in suggest(of(conditional, trials=99), n, []).trial.params}
    assert names == {"batch_size", "model.hidden|4", "model.hidden|6"}


# A warm start ----------------------------------------------------------------------------------------------


def rates(suggest: Suggest) -> Mapping[str, Any]:
    model = suggest.choice("model", [ToyModel(), ToyModel(dropout=0.1)])
    changes = {"model": model, "optimizer.lr": suggest.real("optimizer.lr", 1e-3, 1e-1, log=True)}
    return changes | {"batch_size": suggest.choice("batch_size", [7, 10], given=model.dropout > 0)}


def finished(tracker: MemoryTracker, spec: ExperimentSpec, value: float, sweep: str = "older") -> str:
    run = tracker.begin(spec, name="toy", owner="here:1:0", tags={membership(sweep, "laptop"): "a case"})
    tracker.log(run.run_id, [Scalar("validation/top1", 21, value)])
    tracker.end(run.run_id, Status.COMPLETE)
    return run.digest


def test_finished_runs_that_lie_in_the_space_are_trials_that_were_seen() -> None:
    tracker = MemoryTracker()
    dropping = toy_spec(model=ToyModel(dropout=0.1), seed=3).override({"optimizer.lr": 0.02, "batch_size": 7})
    inside = {finished(tracker, toy_spec(), 0.4): 0.4, finished(tracker, dropping, 0.6): 0.6}
    outside = [toy_spec(clip=1.0), toy_spec(batch_size=9), toy_spec().override({"optimizer.lr": 0.5})]
    for spec in outside:
        finished(tracker, spec, 0.9)
    finished(tracker, toy_spec(seed=9), 0.9, sweep="another")
    found = of(rates, warm=("older",))
    trials = warm_trials(found, tracker)
    assert {trial.digest: trial.value for trial in trials} == inside
    by_value = {trial.value: trial for trial in trials}
    assert by_value[0.6].params == {"model": 1, "optimizer.lr": 0.02, "batch_size|True": 7}
    changes = again(found, by_value[0.6])
    assert found.base.override(changes) == dropping.override({"seed": 0})


def test_a_warm_start_changes_what_is_suggested_and_counts_for_what_a_sampler_waits_for() -> None:
    tracker = MemoryTracker()
    for n in range(6):
        finished(tracker, toy_spec().override({"optimizer.lr": 0.001 * (n + 1)}), n / 10)
    found = of(rates, warm=("older",), sampler=Tpe(startup=5))
    warm = warm_trials(found, tracker)
    assert len(warm) == 6
    assert suggest(found, 0, [], warm).trial.params != suggest(found, 0, []).trial.params
    assert suggest(found, 0, [], warm).trial.params == suggest(found, 0, [], warm).trial.params


def test_the_order_of_the_record_makes_no_other_warm_start() -> None:
    tracker = MemoryTracker()
    for n in range(5):
        finished(tracker, toy_spec().override({"optimizer.lr": 0.001 * (n + 1)}), n / 10)
    runs = tracker.runs()
    found = of(rates)
    assert as_trials(found, runs) == as_trials(found, reversed(runs))

"""The front, and what may be kept small beside an objective."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as some

from lab import Asha, Search
from lab.errors import SpecError, UnknownName
from lab.search.front import front
from lab.search.objectives import scores
from lab.search.study import Study
from lab.search.trial import Trial
from lab.tracking.memory import MemoryTracker
from lab.tracking.tracker import Scalar, Status
from tests.lab.toy import ToyModel, toy_spec


def search(**changes: Any) -> Search:
    return replace(Search("toys", "laptop", toy_spec(), lambda suggest: {}, costs=("flops",)), **changes)


@given(some.lists(some.tuples(some.integers(0, 5), some.integers(0, 5), some.integers(0, 3)), max_size=40))
def test_a_point_is_on_the_front_unless_another_is_as_small_in_all_and_smaller_in_one(
    points: list[tuple[int, ...]],
) -> None:
    a = np.array(points).reshape(len(points), 3)
    dominated = [bool(((a <= p).all(1) & (a < p).any(1)).any()) for p in a]
    assert front(points) == [place for place, is_worse in enumerate(dominated) if not is_worse]


def test_the_front_of_a_search_is_optunas() -> None:
    random = np.random.default_rng(0)
    values = [(float(a), float(b)) for a, b in random.random((60, 2)).round(1)]
    theirs = optuna.create_study(directions=["maximize", "minimize"])
    for pair in values:
        theirs.add_trial(optuna.trial.create_trial(values=pair))
    trials = [
        Trial(n, {}, {}, ()).ended("complete", value, None, [cost]) for n, (value, cost) in enumerate(values)
    ]
    ours = Study(search(), trials).ranked
    assert {t.number for t in ours} == {t.number for t in theirs.best_trials}
    assert [t.value for t in ours] == sorted((t.value or 0 for t in ours), reverse=True)


def test_costs_are_counted_from_the_model_or_read_from_the_run() -> None:
    tracker = MemoryTracker()
    spec = toy_spec(model=ToyModel(hidden=16))
    run = tracker.begin(spec, name="toy", owner="here:1:0", tags={})
    tracker.log(run.run_id, [Scalar("validation/top1", 1, 0.5), Scalar("pace/peak_memory_bytes", 1, 7e8)])
    tracker.end(run.run_id, Status.COMPLETE)
    (run,) = tracker.runs()
    found = search(costs=("flops", "parameters", "pace/peak_memory_bytes"))
    weights = sum(p.numel() for p in spec.model.build().parameters())
    assert scores(found, run) == [0.5, 2 * 16 * (6 + 32 + 3), weights, 7e8]


def test_a_run_that_recorded_no_cost_is_a_failure() -> None:
    assert Trial(0, {}, {}, ()).ended("complete", 0.5, None, [float("nan")]).outcome == "failed"


def test_an_unknown_cost_has_its_near_miss() -> None:
    with pytest.raises(UnknownName, match=r"no cost 'flop'. Did you mean 'flops'"):
        search(costs=("flop",))


def test_a_front_is_not_pruned_since_pruning_judges_by_one_value() -> None:
    with pytest.raises(SpecError, match="cannot be pruned"):
        search(pruning=Asha())


def test_trials_with_costs_survive_being_written_down() -> None:
    trial = replace(Trial(3, {"clip": 1.0}, {}, (0, 1)), system={"NSGAIISampler:generation": 2})
    ended = trial.ended("complete", 0.5, None, [3.0, 4.0])
    assert Trial.from_json(ended.to_json()) == ended

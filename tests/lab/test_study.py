"""A search is a function of its seed and of what it had seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from lab.errors import SpecError
from lab.search.pointwise import at
from lab.search.replay import replay
from lab.search.samplers import GaussianProcess, Grid, Nsga2, QuasiRandom, Random, Tpe
from lab.search.study import Study
from lab.search.suggest import again, suggest
from lab.search.trial import Trial, numbers_of, ranges_of
from lab.sweep import Search, Suggest
from tests.lab.toy import ToyModel, toy_spec


def space(suggest: Suggest) -> Mapping[str, Any]:
    """Every kind of question, one of them asked only after a certain answer."""
    model = suggest.choice("model", [ToyModel(), ToyModel(dropout=0.1)])
    changes: dict[str, Any] = {
        "optimizer.lr": suggest.real("optimizer.lr", 1e-4, 1e-1, log=True),
        "model": replace(model, hidden=suggest.integer("model.hidden", 2, 64, log=True)),
        "clip": suggest.choice("clip", [None, 1.0]),
    }
    if changes["clip"] is None:
        changes["batch_size"] = suggest.integer("batch_size", 2, 10, step=4)
    return changes


def search(**changes: Any) -> Search:
    return replace(Search("toys", "laptop", toy_spec(), space), **changes)


def score(changes: Mapping[str, Any]) -> float:
    """A made-up objective with its best at lr 0.01."""
    return 1 - abs(math.log10(changes["optimizer.lr"]) + 2) / 4


def play(found: Search, *, ahead: int = 1) -> list[Trial]:
    """Run a search with `ahead` trials at a time, each ending when the one `ahead` later is asked for."""
    study, open_trials = Study(found), []
    while (suggestion := study.ask()) is not None:
        open_trials.append((suggestion.trial.number, score(suggestion.changes)))
        if len(open_trials) >= ahead:
            number, value = open_trials.pop(0)
            study.keep(study.trials[number].ended("complete", value))
    for number, value in open_trials:
        study.keep(study.trials[number].ended("complete", value))
    return list(study.trials.values())


@pytest.mark.parametrize("sampler", [Tpe(), Tpe(joint=False), Random(), QuasiRandom(), Grid(), Nsga2(4)])
@pytest.mark.parametrize("ahead", [1, 3])
def test_the_same_search_makes_the_same_suggestions(sampler: Any, ahead: int) -> None:
    found = search(sampler=sampler, trials=16)
    trials = play(found, ahead=ahead)
    assert trials == play(found, ahead=ahead)
    assert replay(found, trials) == []
    if not isinstance(sampler, Nsga2):  # which may pass a parent on as it is
        assert len({str(trial.params) for trial in trials}) == 16, "none comes twice in a space this wide"


def test_a_gaussian_process_search_replays_too() -> None:
    found = search(sampler=GaussianProcess(), trials=12)
    assert replay(found, play(found)) == []


def test_replay_names_the_trials_that_the_search_would_not_suggest() -> None:
    found = search(trials=14)
    trials = play(found)
    trials[3] = replace(trials[3], params={**trials[3].params, "optimizer.lr": 0.05})
    assert 3 in replay(found, trials)
    assert replay(search(trials=14, seed=1), trials) == list(range(14))


def test_what_a_search_had_seen_changes_what_it_suggests() -> None:
    found = search(trials=15)
    trials = play(found)[:12]
    upside_down = [replace(trial, value=1 - (trial.value or 0)) for trial in trials]
    assert suggest(found, 12, trials).trial.params != suggest(found, 12, upside_down).trial.params


def test_a_search_continued_from_its_record_goes_on_as_if_it_had_never_stopped() -> None:
    found = search(trials=16)
    whole = play(found)
    recorded = [Trial.from_json(trial.to_json()) for trial in whole[:11]]
    study = Study(found, recorded)
    while (suggestion := study.ask()) is not None:
        study.keep(suggestion.trial.ended("complete", score(suggestion.changes)))
    assert list(study.trials.values()) == whole


def test_trials_is_a_total() -> None:
    recorded = play(search(trials=6))
    study = Study(search(trials=8), recorded)
    assert [(s := study.ask()) and s.trial.number for _ in range(3)] == [6, 7, None]


def test_a_recorded_trial_stands_for_the_same_changes() -> None:
    found = search(trials=5)
    study = Study(found)
    while (suggestion := study.ask()) is not None:
        assert again(found, Trial.from_json(suggestion.trial.to_json())) == suggestion.changes


def test_a_sampler_that_learns_tries_better_things_later() -> None:
    values = [trial.value or 0.0 for trial in play(search(trials=40))]
    assert sum(values[30:]) > sum(values[:10])


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_best_trial_is_complete_and_the_first_of_equals(direction: Any) -> None:
    values = [0.5, 0.9, 0.1, 0.9, 0.1]
    trials = [Trial(n, {}, {}, ()).ended("complete", value) for n, value in enumerate(values)]
    trials.append(Trial(5, {}, {}, ()).ended("pruned", None, {1: 2.0}))
    best = Study(search(direction=direction), trials).best
    assert best is not None
    assert best.number == (1 if direction == "maximize" else 2)


def test_a_value_that_is_no_number_is_a_failure_and_the_search_goes_on() -> None:
    study = Study(search(trials=13))
    for _ in range(12):
        suggestion = study.ask()
        assert suggestion is not None
        study.keep(suggestion.trial.ended("complete", math.nan))
    assert {trial.outcome for trial in study.trials.values()} == {"failed"}
    assert study.best is None
    assert study.ask() is not None


def test_pruned_trials_are_learnt_from() -> None:
    found = search(trials=15)
    trials = play(found)[:12]
    pruned = [
        trial.ended("pruned", None, {7: trial.value or 0.0}) if trial.number % 2 else trial
        for trial in trials
    ]
    assert suggest(found, 12, pruned).trial.params != suggest(found, 12, trials).trial.params
    assert Trial.from_json(pruned[1].to_json()) == pruned[1]


def test_a_space_that_contradicts_the_record_is_refused_with_the_way_out() -> None:
    recorded = play(search(trials=12))
    other = search(trials=14, space=lambda suggest: {"clip": suggest.choice("clip", [None, 2.0])})
    with pytest.raises(SpecError, match=r"its space is not that of the 12 recorded trials .* another name"):
        Study(other, recorded).ask()


@given(some.sets(some.integers(0, 50)))
def test_sets_of_numbers_survive_being_written_as_ranges(numbers: set[int]) -> None:
    assert numbers_of(ranges_of(list(numbers))) == tuple(sorted(numbers))


@given(some.floats(0, 1, exclude_max=True))
def test_quasi_random_values_lie_where_they_may(share: float) -> None:
    assert at(share, CategoricalDistribution(("a", "b"))) == ("a" if share < 0.5 else "b")
    assert at(share, IntDistribution(2, 10, step=4)) in (2, 6, 10)
    assert 1 <= at(share, IntDistribution(1, 1000, log=True)) <= 1000
    assert 1e-5 <= at(share, FloatDistribution(1e-5, 1e-1, log=True)) <= 1e-1 * (1 + 1e-9)
    assert at(share, FloatDistribution(0, 4)) == pytest.approx(4 * share)


def test_quasi_random_points_fill_a_space_more_evenly_than_random_ones() -> None:
    def empty(sampler: Any) -> int:
        """Of 16 equal cells, those without a point."""
        study = Study(search(sampler=sampler, trials=32, space=square))
        while study.ask() is not None:
            pass
        points = [trial.params for trial in study.trials.values()]
        return 16 - len({(int(4 * p["optimizer.lr"]), int(4 * p["clip"])) for p in points})

    assert empty(QuasiRandom()) == 0
    assert empty(Random()) > 0


def square(suggest: Suggest) -> Mapping[str, Any]:
    return {"optimizer.lr": suggest.real("optimizer.lr", 0, 1), "clip": suggest.real("clip", 0, 1)}

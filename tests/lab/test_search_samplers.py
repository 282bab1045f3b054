"""What a search suggests is what Optuna, SciPy and itertools give when they are asked directly."""

from __future__ import annotations

import hashlib
import itertools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from scipy.stats import qmc

from lab import GaussianProcess, Grid, Nsga2, QuasiRandom, Random, Search, Suggest, Tpe
from lab.errors import SpecError, UnknownName
from lab.search.samplers import SAMPLERS, name_of, named
from lab.search.study import Study
from lab.search.suggest import again
from tests.lab.toy import toy_spec

TRIALS = 14


def space(suggest: Suggest) -> Mapping[str, Any]:
    """A condition: a batch size is asked for only without clipping."""
    changes = {
        "optimizer.lr": suggest.real("optimizer.lr", 1e-4, 1e-1, log=True),
        "clip": suggest.choice("clip", [None, 1.0]),
    }
    if changes["clip"] is None:
        changes["batch_size"] = suggest.integer("batch_size", 2, 10, step=4)
    return changes


def directly(trial: optuna.Trial) -> dict[str, Any]:
    """The same in Optuna's words."""
    asked: dict[str, Any] = {"optimizer.lr": trial.suggest_float("optimizer.lr", 1e-4, 1e-1, log=True)}
    asked["clip"] = trial.suggest_categorical("clip", [None, 1.0])
    if asked["clip"] is None:
        asked["batch_size"] = trial.suggest_int("batch_size", 2, 10, step=4)
    return asked


def search(**changes: Any) -> Search:
    return replace(Search("toys", "laptop", toy_spec(), space, trials=TRIALS), **changes)


def score(params: Mapping[str, Any]) -> float:
    return 1 - abs(np.log10(params["optimizer.lr"]) + 2) / 4


def play(found: Search, costs: Callable[[Mapping[str, Any]], list[float]] = lambda params: []) -> list[Any]:
    study = Study(found)
    while (suggestion := study.ask()) is not None:
        params = suggestion.trial.params
        study.keep(suggestion.trial.ended("complete", score(params), None, costs(params)))
    return [dict(trial.params) for trial in study.trials.values()]


def seed_of(number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"0/{number}".encode()).digest()[:4], "big")


@pytest.mark.parametrize(
    ("sampler", "theirs"),
    [
        (Random(), lambda seed: optuna.samplers.RandomSampler(seed=seed)),
        (Tpe(startup=4), lambda seed: optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=4, multivariate=True, group=True)),
        (Tpe(startup=4, candidates=7, joint=False), lambda seed: optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=4, n_ei_candidates=7, multivariate=False)),
        (GaussianProcess(startup=4), lambda seed: optuna.samplers.GPSampler(seed=seed, n_startup_trials=4)),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_search_rebuilt_for_every_trial_suggests_what_one_optuna_study_would(
    sampler: Any, theirs: Callable[[int], optuna.samplers.BaseSampler]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(direction="maximize")
        expected = []
        for number in range(TRIALS):
            study.sampler = theirs(seed_of(number))
            trial = study.ask()
            expected.append(directly(trial))
            study.tell(trial, score(expected[-1]))
    assert play(search(sampler=sampler)) == expected


def test_quasi_random_trials_are_the_points_of_one_scrambled_sobol_sequence() -> None:
    points = qmc.Sobol(64, scramble=True, rng=3).random(16)
    played = play(search(sampler=QuasiRandom(), seed=3, trials=16))
    assert [p["optimizer.lr"] for p in played] == pytest.approx(10 ** (-4 + 3 * points[:, 0]))
    assert [p["clip"] for p in played] == [None if x < 0.5 else 1.0 for x in points[:, 1]]


def test_a_grid_is_every_combination_once_in_an_order_of_the_seed_and_then_ends() -> None:
    rates = np.geomspace(1e-4, 1e-1, 4)
    without = {(rate, None, batch) for rate, batch in itertools.product(rates, (2, 6, 10))}
    expected = without | {(rate, 1.0, None) for rate in rates}
    orders = []
    for seed in (0, 1):
        found = search(sampler=Grid(points=4), trials=100, seed=seed)
        assert found.total == len(expected) == 16
        orders.append([(p["optimizer.lr"], p["clip"], p.get("batch_size")) for p in play(found)])
        assert [tuple(x or 0 for x in c) for c in sorted(orders[-1], key=str)] == [
            pytest.approx([x or 0 for x in c]) for c in sorted(expected, key=str)
        ]
    assert orders[0] != orders[1]


def test_a_part_of_a_grid_is_the_beginning_of_the_whole() -> None:
    assert play(search(sampler=Grid(), trials=5)) == play(search(sampler=Grid(), trials=100))[:5]


def test_a_grid_too_large_is_refused() -> None:
    def wide(suggest: Suggest) -> Mapping[str, Any]:
        names = ("optimizer.lr", "optimizer.weight_decay", "clip", "model.dropout")
        return {name: suggest.choice(name, [n / 100 for n in range(1, 20)]) for name in names}

    with pytest.raises(SpecError, match="a grid of more than 100,000 combinations"):
        _ = search(space=wide, sampler=Grid()).total


@pytest.mark.parametrize("costs", [(), ("flops",)])
def test_a_genetic_search_breeds_what_optuna_breeds_from_the_same_trials(costs: tuple[str, ...]) -> None:
    """A study of its own for every trial: within one, Optuna puts the parents in another order from the
    second of a generation on."""
    study = optuna.create_study(directions=["maximize", *("minimize" for _ in costs)])
    expected = []
    for number in range(TRIALS):
        fresh = optuna.create_study(
            directions=study.directions,
            sampler=optuna.samplers.NSGAIISampler(seed=seed_of(number), population_size=4),
        )
        fresh.add_trials(study.trials)
        trial = fresh.ask()
        expected.append(directly(trial))
        fresh.tell(trial, [score(expected[-1]), *(-expected[-1]["optimizer.lr"] for _ in costs)])
        study = fresh
    found = search(sampler=Nsga2(4), costs=costs)
    assert play(found, lambda params: [-params["optimizer.lr"] for _ in costs]) == expected


def test_parzen_estimators_search_two_objectives_too() -> None:
    played = play(search(sampler=Tpe(startup=4), costs=("flops",)), lambda params: [params["optimizer.lr"]])
    assert len(played) == TRIALS


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_has_a_name_to_be_asked_for_by(name: str) -> None:
    assert name_of(named(name)) == name


def test_the_name_of_a_sampler_has_its_near_miss() -> None:
    with pytest.raises(UnknownName, match=r"no sampler 'ramdom'. Did you mean 'random'"):
        named("ramdom")


@pytest.mark.parametrize("wrong", [lambda: Tpe(startup=0), lambda: Grid(points=1), lambda: Nsga2(1)])
def test_samplers_that_cannot_be_are_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(SpecError, match="or more, got"):
        wrong()


def test_another_sampler_or_seed_or_objective_is_another_search() -> None:
    changed = [{"sampler": Random()}, {"seed": 1}, {"objective": "test/top1"}, {"costs": ("flops",)},
               {"warm": ("table6",)}, {"base": toy_spec(clip=1.0)}, {"direction": "minimize"}]  # fmt: skip
    identities = {search().identity, *(search(**change).identity for change in changed)}
    assert len(identities) == 1 + len(changed)
    assert search(trials=99, name="other").identity == search().identity, "more trials go on with it"


def test_what_was_chosen_can_be_asked_again() -> None:
    study = Study(search(trials=3))
    while (suggestion := study.ask()) is not None:
        assert again(study.search, suggestion.trial) == suggestion.changes

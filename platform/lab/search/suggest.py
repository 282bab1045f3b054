"""What a search tries next, by Optuna.

A suggestion is a pure function of the search, the number of the trial and what had been seen by then. So
nothing has to be kept alive or restored: the recorded trials are the state, and the sequence can be derived
again and compared (`lab.search.replay`).
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from lab.errors import SpecError
from lab.search.pointwise import Listed, Sobol
from lab.search.samplers import GaussianProcess, Grid, Nsga2, QuasiRandom, Random, Tpe
from lab.search.space import Answer, Asking, Axis, Changes, Integers, Options, changes
from lab.search.trial import Outcome, Trial
from lab.spec import ExperimentSpec
from lab.sweep import Search

optuna.logging.set_verbosity(optuna.logging.ERROR)

STATES: Mapping[Outcome, TrialState] = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
GENERATION = "NSGAIISampler:generation"
"""what a genetic algorithm must know of a trial again; all else that Optuna notes is derived"""


@dataclass(frozen=True)
class Suggestion:
    """A trial to be run, and what it changes in the base of the search."""

    trial: Trial
    changes: Changes

    def spec(self, search: Search) -> ExperimentSpec:
        """Raises SpecError where the changes make no experiment."""
        return search.base.override(self.changes)


def suggest(search: Search, number: int, trials: Sequence[Trial], warm: Sequence[Trial] = ()) -> Suggestion:
    """What trial `number` tries, given the trials before it: those that have ended count with their results,
    the others as still running. warm: what the search began with. Costs time proportional to their number.

    Raises SpecError where the space asks for what is no field, or is not that of the trials."""
    before = sorted((t for t in trials if t.number < number), key=lambda trial: trial.number)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(directions=search.directions, sampler=sampler(search, number))
        study.add_trials([frozen(trial) for trial in (*warm, *before)])
        live = study.ask()
        asking = Asking(search.base, _answer(live))
        try:
            made = changes(search.space, search.base, asking)
        except ValueError as fault:
            known = len(warm) + len(before)
            if not known or ("value space" not in str(fault) and "distribution" not in str(fault)):
                raise
            raise SpecError(
                f"{search.name}: its space is not that of the {known} recorded trials ({fault}): "
                "give the search another name."
            ) from None
    noted = study.get_trials(deepcopy=False)[-1].system_attrs
    trial = Trial(
        number=number,
        params=dict(live.params),
        ranges={n: optuna.distributions.distribution_to_json(d) for n, d in live.distributions.items()},
        seen=tuple(trial.number for trial in before if trial.outcome != "running"),
        system={GENERATION: noted[GENERATION]} if GENERATION in noted else {},
    )
    return Suggestion(trial, made)


def again(search: Search, trial: Trial) -> Changes:
    """The changes that a recorded trial stands for."""
    asking = Asking(search.base, lambda name, axis: trial.params[name])
    return changes(search.space, search.base, asking)


def sampler(search: Search, number: int) -> optuna.samplers.BaseSampler:
    """The sampler for one trial, seeded by the search and the number."""
    seed = seed_of(search.seed, number)
    match search.sampler:
        case Random():
            return optuna.samplers.RandomSampler(seed=seed)
        case QuasiRandom():
            return Sobol(search.seed, number)
        case Grid():
            return Listed(search.combinations, number)
        case GaussianProcess(startup):
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=startup)
        case Nsga2(population):
            return optuna.samplers.NSGAIISampler(seed=seed, population_size=population)
        case Tpe(startup, candidates, joint):
            return optuna.samplers.TPESampler(
                seed=seed,
                n_startup_trials=startup,
                n_ei_candidates=candidates,
                multivariate=joint,
                group=joint,
            )


def seed_of(search: int, number: int) -> int:
    """Of one trial, 32 bits."""
    return int.from_bytes(hashlib.sha256(f"{search}/{number}".encode()).digest()[:4], "big")


class _Settled(FrozenTrial):  # type: ignore[misc]
    """A trial in which nothing changes any more: Optuna, which copies what it is given, shares its parts."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Settled:
        return copy(self)


def frozen(trial: Trial) -> FrozenTrial:
    """A trial as Optuna knows it."""
    made = optuna.trial.create_trial(
        state=STATES[trial.outcome],
        values=[trial.value, *trial.costs] if trial.outcome == "complete" else None,
        params=dict(trial.params),
        distributions={n: _range(text) for n, text in trial.ranges.items()},
        intermediate_values=dict(trial.intermediate),
        system_attrs=dict(trial.system),
    )
    settled = _Settled.__new__(_Settled)
    settled.__dict__.update(vars(made))
    return settled


@lru_cache
def _range(text: str) -> optuna.distributions.BaseDistribution:
    return optuna.distributions.json_to_distribution(text)


def distribution(axis: Axis) -> optuna.distributions.BaseDistribution:
    """An axis as Optuna knows it."""
    match axis:
        case Options():
            return optuna.distributions.CategoricalDistribution(axis.keys)
        case Integers(low, high, step, log):
            return optuna.distributions.IntDistribution(low, high, log=log, step=step)
        case _:
            return optuna.distributions.FloatDistribution(axis.low, axis.high, log=axis.log)


def _answer(live: optuna.Trial) -> Answer:
    def answer(name: str, axis: Axis) -> Any:
        match axis:
            case Options():
                return live.suggest_categorical(name, list(axis.keys))
            case Integers(low, high, step, log):
                return live.suggest_int(name, low, high, step=step, log=log)
            case _:
                return live.suggest_float(name, axis.low, axis.high, log=axis.log)

    return answer

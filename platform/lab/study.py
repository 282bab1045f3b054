"""What a search tries next: the only door to Optuna besides `tune`.

A suggestion is a pure function of the search, the number of the trial and what had been seen by then. So
nothing has to be kept alive or restored: the recorded trials are the state, and the sequence can be derived
again and compared.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from lab.errors import SpecError
from lab.spec import ExperimentSpec
from lab.sweep import Changes, Search

optuna.logging.set_verbosity(optuna.logging.ERROR)

Outcome = Literal["running", "complete", "pruned", "failed"]
STATES: Mapping[Outcome, TrialState] = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
PLAIN = (str, int, float, bool, type(None))
"""options that a sampler takes as they are; others go by their index"""


@dataclass(frozen=True)
class Trial:
    """One suggestion and what became of it."""

    number: int
    params: Mapping[str, Any]
    """name -> what the sampler chose, an index for options that are no plain values"""
    ranges: Mapping[str, str]
    """name -> Optuna's JSON of where it chose from"""
    seen: tuple[int, ...]
    """the trials that had ended when this one was suggested"""
    digest: str = ""
    """its experiment; empty where the suggestion makes none"""
    outcome: Outcome = "running"
    value: float | None = None
    intermediate: Mapping[int, float] = field(default_factory=dict)
    """step -> objective, for a pruned trial"""

    def ended(
        self, outcome: Outcome, value: float | None = None, intermediate: Mapping[int, float] | None = None
    ) -> Self:
        """The trial with its result. A value that is no number makes it a failed one."""
        if outcome == "complete" and (value is None or math.isnan(value)):
            outcome, value = "failed", None
        return replace(self, outcome=outcome, value=value, intermediate=dict(intermediate or {}))

    def to_json(self) -> str:
        return json.dumps(asdict(self) | {"seen": ranges_of(self.seen)}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        data = json.loads(text)
        data["seen"] = numbers_of(data["seen"])
        data["intermediate"] = {int(step): value for step, value in data["intermediate"].items()}
        return cls(**data)


@dataclass(frozen=True)
class Suggestion:
    """A trial to be run, and what it changes in the base of the search."""

    trial: Trial
    changes: Changes

    def spec(self, search: Search) -> ExperimentSpec:
        """Raises SpecError where the changes make no experiment."""
        return search.base.override(self.changes)


class Study:
    """The trials of a search so far. Whoever asks and tells here writes down what comes back."""

    def __init__(self, search: Search, trials: Sequence[Trial] = ()) -> None:
        self.search = search
        self.trials = {trial.number: trial for trial in trials}

    def ask(self) -> Suggestion | None:
        """The next suggestion, or None once there are `search.trials` of them. Raises SpecError."""
        number = len(self.trials)
        if number >= self.search.trials:
            return None
        suggestion = suggest(self.search, number, list(self.trials.values()))
        self.trials[number] = suggestion.trial
        return suggestion

    def keep(self, trial: Trial) -> Trial:
        """Put a trial that has a digest or a result in the place of what was known of it."""
        self.trials[trial.number] = trial
        return trial

    @property
    def best(self) -> Trial | None:
        """The complete trial with the best value, the first of equals."""
        done = [
            trial for trial in self.trials.values() if trial.outcome == "complete" and trial.value is not None
        ]
        sign = -1 if self.search.direction == "maximize" else 1
        return min(done, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)


def suggest(search: Search, number: int, trials: Sequence[Trial]) -> Suggestion:
    """What trial `number` tries, given the trials before it: those that have ended count with their results,
    the others as still running. Costs time proportional to their number."""
    before = [trial for trial in trials if trial.number < number]
    study = optuna.create_study(direction=search.direction, sampler=sampler(search, number))
    for trial in sorted(before, key=lambda trial: trial.number):
        study.add_trial(frozen(trial))
    live = study.ask()
    suggest_from = _FromTrial(live)
    try:
        changes = search.space(suggest_from)
    except ValueError as fault:
        if not before or ("value space" not in str(fault) and "distribution" not in str(fault)):
            raise
        raise SpecError(
            f"{search.name}: its space is not that of the {len(before)} recorded trials ({fault}): "
            "give the search another name."
        ) from None
    trial = Trial(
        number=number,
        params=dict(live.params),
        ranges={n: optuna.distributions.distribution_to_json(d) for n, d in live.distributions.items()},
        seen=tuple(sorted(trial.number for trial in before if trial.outcome != "running")),
    )
    return Suggestion(trial, changes)


def again(search: Search, trial: Trial) -> Changes:
    """The changes that a recorded trial stands for."""
    return search.space(_FromTrial(optuna.trial.FixedTrial(dict(trial.params))))


def replay(search: Search, trials: Sequence[Trial]) -> list[int]:
    """The numbers of the recorded trials that the search would not suggest again from what they had seen:
    none, unless the search, its seed or the sampler's code is another one."""
    odd = []
    for trial in trials:
        known = [
            other
            if other.number in set(trial.seen)
            else replace(other, outcome="running", value=None, intermediate={})
            for other in trials
            if other.number < trial.number
        ]
        if dict(suggest(search, trial.number, known).trial.params) != dict(trial.params):
            odd.append(trial.number)
    return odd


def sampler(search: Search, number: int) -> optuna.samplers.BaseSampler:
    """The sampler for one trial, seeded by the search and the number."""
    seed = int.from_bytes(hashlib.sha256(f"{search.seed}/{number}".encode()).digest()[:4], "big")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match search.sampler:
            case "random":
                return optuna.samplers.RandomSampler(seed=seed)
            case "quasi-random":
                return Sobol(search.seed)
            case "gp":
                return optuna.samplers.GPSampler(seed=seed)
            case _:
                return optuna.samplers.TPESampler(seed=seed)


class Sobol(optuna.samplers.BaseSampler):  # type: ignore[misc]
    """Point n of one scrambled Sobol sequence for trial n; its j-th coordinate for the j-th thing asked."""

    DIMENSIONS = 64

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        from scipy.stats.qmc import Sobol as Sequence

        points = Sequence(self.DIMENSIONS, scramble=True, rng=self.seed)
        point = points.fast_forward(trial.number).random(1)[0] if trial.number else points.random(1)[0]
        return at(float(point[len(trial.params) % self.DIMENSIONS]), param_distribution)


def at(share: float, among: Any) -> Any:
    """The value a share in [0, 1) of the way through a distribution."""
    if isinstance(among, CategoricalDistribution):
        return among.choices[int(share * len(among.choices))]
    if not isinstance(among, IntDistribution | FloatDistribution):
        raise TypeError(f"no quasi-random values of {among}")
    if isinstance(among, IntDistribution) and not among.log:
        return among.low + among.step * int(share * ((among.high - among.low) // among.step + 1))
    low, high = (math.log(among.low), math.log(among.high)) if among.log else (among.low, among.high)
    value = math.exp(low + share * (high - low)) if among.log else low + share * (high - low)
    value = round(value) if isinstance(among, IntDistribution) else value
    return type(value)(min(max(value, among.low), among.high))


def frozen(trial: Trial) -> FrozenTrial:
    """A trial as Optuna knows it."""
    return optuna.trial.create_trial(
        state=STATES[trial.outcome],
        value=trial.value if trial.outcome == "complete" else None,
        params=dict(trial.params),
        distributions={
            n: optuna.distributions.json_to_distribution(text) for n, text in trial.ranges.items()
        },
        intermediate_values=dict(trial.intermediate),
    )


class _FromTrial:
    """`lab.sweep.Suggest` over an Optuna trial."""

    def __init__(self, trial: optuna.Trial | optuna.trial.FixedTrial) -> None:
        self._trial = trial

    def choice(self, name: str, options: Sequence[Any]) -> Any:
        if all(isinstance(option, PLAIN) for option in options):
            return self._trial.suggest_categorical(name, list(options))
        return options[self._trial.suggest_categorical(name, list(range(len(options))))]

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._trial.suggest_int(name, low, high, step=step, log=log))

    def real(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return float(self._trial.suggest_float(name, low, high, log=log))


def ranges_of(numbers: Sequence[int]) -> str:
    """`0-4,6` for 0, 1, 2, 3, 4, 6."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in parts)


def numbers_of(text: str) -> tuple[int, ...]:
    """The way back from `ranges_of`."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        low, _, high = part.partition("-")
        found += range(int(low), int(high or low) + 1)
    return tuple(found)

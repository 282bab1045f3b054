"""Samplers that learn nothing: what they try follows from the number of the trial."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial


class Pointwise(optuna.samplers.BaseSampler):  # type: ignore[misc]
    """Each axis is asked by itself, in the order of the space. `number` is of the search's trial, since
    Optuna's own counts what the search began with too."""

    def __init__(self, number: int) -> None:
        self.number = number

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}


class Sobol(Pointwise):
    """Point n of one scrambled Sobol sequence for trial n; its j-th coordinate for the j-th thing asked."""

    DIMENSIONS = 64

    def __init__(self, seed: int, number: int) -> None:
        super().__init__(number)
        self.seed = seed

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        from scipy.stats.qmc import Sobol as Sequence

        points = Sequence(self.DIMENSIONS, scramble=True, rng=self.seed)
        point = points.fast_forward(self.number).random(1)[0] if self.number else points.random(1)[0]
        return at(float(point[len(trial.params) % self.DIMENSIONS]), param_distribution)


class Listed(Pointwise):
    """The n-th of a list of combinations for trial n."""

    def __init__(self, combinations: Sequence[Mapping[str, Any]], number: int) -> None:
        super().__init__(number)
        self.combination = combinations[number]

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self.combination[param_name]


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

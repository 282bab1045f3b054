"""Which fields decided a search's scores, by two measures of Optuna.

fANOVA (Hutter et al. 2014): the share of the variance over the whole space that a field accounts for.
PED-ANOVA (Watanabe et al. 2023): how far the best trials' values of a field are from all trials' values.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

from lab import codec

FEWEST = 8
"""finished trials below which neither says anything"""


@dataclass(frozen=True)
class Importance:
    """Of one field; each measure sums to 1 over the fields."""

    field: str
    fanova: float
    ped_anova: float


def importances(
    rows: Sequence[Mapping[str, Any]], scores: Sequence[float], *, maximize: bool
) -> tuple[Importance, ...]:
    """Of the fields of finished trials, the most important by fANOVA first. rows: field -> value, one per
    trial. Empty for fewer than `FEWEST` trials, and where nothing varies."""
    fields = sorted({field for row in rows for field in row})
    axes = {field: _axis([row.get(field) for row in rows]) for field in fields}
    varied = {field: axis for field, axis in axes.items() if axis is not None}
    if len(rows) < FEWEST or not varied or len(set(scores)) < 2:
        return ()
    study = optuna.create_study(direction="maximize" if maximize else "minimize")
    for row, score in zip(rows, scores, strict=True):
        params = {field: _value(row.get(field), axis) for field, axis in varied.items()}
        study.add_trial(optuna.trial.create_trial(value=score, params=params, distributions=varied))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        fanova = optuna.importance.get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
        ped = optuna.importance.get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    found = [Importance(field, fanova.get(field, 0.0), ped.get(field, 0.0)) for field in varied]
    return tuple(sorted(found, key=lambda each: (-each.fanova, each.field)))


def _axis(values: Sequence[Any]) -> BaseDistribution | None:
    """Numbers between their least and their greatest, anything else as a choice; None if there is one
    value."""
    keys = sorted({codec.canonical(value) for value in values})
    if len(keys) < 2:
        return None
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return IntDistribution(min(values), max(values))
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return FloatDistribution(min(values), max(values))
    return CategoricalDistribution(keys)


def _value(value: Any, axis: BaseDistribution) -> Any:
    return codec.canonical(value) if isinstance(axis, CategoricalDistribution) else value

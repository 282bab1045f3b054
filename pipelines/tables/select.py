"""How one number is chosen from a run: rules as named objects, so that a table can say which one it used."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from lab.tracking.tracker import RunRecord

Curve = list[tuple[int, float]]
History = Callable[[str], Curve]
"""Metric -> its (step, value) pairs; asking costs a query."""


class Choice(NamedTuple):
    """The value a rule chose and the step it was taken at (None: the last)."""

    value: float
    step: int | None = None


class Selection(Protocol):
    """A rule. Where what it needs was never recorded it chooses nothing."""

    @property
    def name(self) -> str:
        """What a table prints."""

    @property
    def caveat(self) -> str:
        """What a reader must know to judge the number; empty when the rule is clean."""

    def choose(self, record: RunRecord, metric: str, history: History) -> Choice | None:
        """The value of `metric` (`test/top1`) in this run."""


@dataclass(frozen=True)
class Last:
    """The value at the end of training."""

    name: str = "last"
    caveat: str = ""

    def choose(self, record: RunRecord, metric: str, history: History) -> Choice | None:
        value = record.metrics.get(metric)
        return None if value is None else Choice(value)


@dataclass(frozen=True)
class BestOnValidation:
    """The value at the first step where the same metric was highest on the validation split."""

    name: str = "best on validation"
    caveat: str = ""

    def choose(self, record: RunRecord, metric: str, history: History) -> Choice | None:
        peak = _peak(history(_on_split(metric, "validation")))
        value = dict(history(metric)).get(peak.step) if peak and peak.step is not None else None
        return None if peak is None or value is None else Choice(value, peak.step)


@dataclass(frozen=True)
class BestOnTest:
    """The highest value on the test split: the paper's rule for ModelNet40 (Table 4). Biased upwards."""

    name: str = "best on test"
    caveat: str = "selected on the test split, as the paper does for ModelNet40: biased upwards"

    def choose(self, record: RunRecord, metric: str, history: History) -> Choice | None:
        return _peak(history(_on_split(metric, "test")))


def _on_split(metric: str, split: str) -> str:
    return f"{split}/{metric.partition('/')[2]}"


def _peak(curve: Curve) -> Choice | None:
    """None where there is no number; nothing is above or below what is none."""
    numbers = [(value, -step) for step, value in curve if not math.isnan(value)]
    if not numbers:
        return None
    value, step = max(numbers)
    return Choice(value, -step)

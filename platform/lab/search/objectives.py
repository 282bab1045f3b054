"""What a search judges a run by: its objective, and the costs that a Pareto search keeps small beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from lab.spec import ExperimentSpec, Model
from lab.sweep import Search
from lab.tracking.tracker import RunRecord

COUNTED: Mapping[str, Callable[[Model], float]] = {
    "flops": lambda model: model.flops(),
    "parameters": lambda model: model.parameters(),
}
"""costs that follow from the model; any other is a metric of the run, as `pace/peak_memory_bytes` is"""


def scores(search: Search, run: RunRecord) -> list[float]:
    """The objective of a finished run and its costs, NaN for what it did not record."""
    model = ExperimentSpec.from_json(run.spec).model if {*search.costs} & COUNTED.keys() else None
    return [run.metrics.get(search.objective, math.nan)] + [
        float(COUNTED[cost](model)) if model is not None and cost in COUNTED
        else run.metrics.get(cost, math.nan)
        for cost in search.costs
    ]  # fmt: skip

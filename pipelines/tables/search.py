"""A hyperparameter search as figures: what was tried, what it cost, which values went well."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab import Search, codec
from lab.errors import SpecError
from lab.spec import ExperimentSpec
from lab.tracking.tracker import RunRecord, Status
from pipelines.tables.fill import PERCENT

FINISHED = (Status.COMPLETE, Status.PRUNED)
"""Runs that ended by themselves or by the scheduler: what a search has learnt from."""


@dataclass(frozen=True)
class Trial:
    """One configuration of a search: what was chosen, its score (accuracies in percent), what it costs."""

    run_id: str
    digest: str
    status: Status
    score: float
    parameters: int
    flops: int
    choices: Mapping[str, Any]


@dataclass(frozen=True)
class SearchResult:
    """A search with its trials, best first. The paths are the fields that the trials differ in."""

    name: str
    scale: str
    objective: str
    asked: int
    paths: tuple[str, ...]
    trials: tuple[Trial, ...]
    unreadable: tuple[str, ...] = ()
    """digests of runs left out because this version cannot read their specification"""

    @property
    def complete(self) -> tuple[Trial, ...]:
        """Trials that were trained to their end, best first; only these can win."""
        return tuple(trial for trial in self.trials if trial.status is Status.COMPLETE)

    @property
    def unit(self) -> str:
        return "" if self.objective.endswith("loss") else "%"


def search_result(search: Search, records: Sequence[RunRecord]) -> SearchResult:
    """What the record holds of a search. Runs that recorded no objective are left out, and named those whose
    specification can no longer be read."""
    scored = [r for r in records if r.status in FINISHED and search.objective in r.metrics]
    specs, unreadable = _read(scored)
    flat = {run_id: codec.flatten(spec) for run_id, spec in specs.items()}
    paths = sorted({path for fields in flat.values() for path in fields} - {"seed"})
    varied = tuple(path for path in paths if len({_key(fields.get(path)) for fields in flat.values()}) > 1)
    factor = 1.0 if search.objective.endswith("loss") else PERCENT
    trials = [
        Trial(
            run_id=record.run_id,
            digest=record.digest,
            status=record.status,
            score=record.metrics[search.objective] * factor,
            parameters=specs[record.run_id].model.parameters(),
            flops=specs[record.run_id].model.flops(),
            choices={path: flat[record.run_id].get(path) for path in varied},
        )
        for record in scored
        if record.run_id in specs
    ]
    sign = -1 if search.direction == "maximize" else 1
    ranked = sorted(trials, key=lambda trial: (sign * trial.score, trial.digest))
    return SearchResult(
        search.name, search.scale, search.objective, search.trials, varied, tuple(ranked), unreadable
    )


def _read(records: Sequence[RunRecord]) -> tuple[dict[str, ExperimentSpec], tuple[str, ...]]:
    """Run id -> its specification, and the digests of those that cannot be read."""
    specs, unreadable = {}, []
    for record in records:
        try:
            specs[record.run_id] = ExperimentSpec.from_json(record.spec)
        except SpecError:
            unreadable.append(record.digest)
    return specs, tuple(unreadable)


def _key(value: Any) -> str:
    return json.dumps(codec.encode(value), sort_keys=True)

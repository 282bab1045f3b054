"""A hyperparameter search as figures: what was tried, what it cost, which values went well, and what is left
of the best on fresh seeds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lab import Search, codec
from lab.errors import SpecError
from lab.search.agenda import CONFIRMS
from lab.search.front import front
from lab.search.importance import Importance, importances
from lab.spec import ExperimentSpec
from lab.tracking.tracker import RunRecord, Status, membership
from pipelines.tables.fill import PERCENT
from pipelines.tables.statistics import Estimate, estimate

MEMORY = "pace/peak_memory_bytes"

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
    memory: float | None = None
    """bytes of a worker at its most, where the run recorded it"""


@dataclass(frozen=True)
class Confirmed:
    """One of the best, run again: what it was selected on, and the mean of fresh seeds."""

    trial: Trial
    fresh: Estimate | None
    """None while no fresh seed has been trained"""


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
    confirmed: tuple[Confirmed, ...] = ()
    """the best of the search, or of its front, with their fresh seeds"""
    costs: tuple[str, ...] = ()
    """what was kept small beside the objective"""
    importance: tuple[Importance, ...] = ()
    maximize: bool = True

    @property
    def front(self) -> tuple[Trial, ...]:
        """The complete trials that no other beats in the score and in every cost; in FLOPs, where the search
        was for a single best. Best score first."""
        costs = self.costs or ("flops",)
        points = [
            (self._sign * trial.score, *(cost_of(trial, cost) for cost in costs)) for trial in self.complete
        ]
        return tuple(self.complete[place] for place in front(points))

    @property
    def _sign(self) -> int:
        return -1 if self.maximize else 1

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
    member = membership(search.name, search.scale)
    fresh = {r.run_id for r in scored if r.tags.get(member, "").startswith(CONFIRMS)}
    flat = {run_id: codec.flatten(spec) for run_id, spec in specs.items() if run_id not in fresh}
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
            memory=record.metrics.get(MEMORY),
        )
        for record in scored
        if record.run_id in flat
    ]
    maximize = search.direction == "maximize"
    ranked = sorted(trials, key=lambda trial: (-trial.score if maximize else trial.score, trial.digest))
    result = SearchResult(
        search.name, search.scale, search.objective, search.trials, varied, tuple(ranked), unreadable,
        costs=search.costs, maximize=maximize,
        importance=importances(
            [trial.choices for trial in ranked if trial.status is Status.COMPLETE],
            [trial.score for trial in ranked if trial.status is Status.COMPLETE],
            maximize=maximize,
        ),
    )  # fmt: skip
    again = [(specs[r.run_id], r.metrics[search.objective] * factor) for r in scored
             if r.run_id in fresh and r.run_id in specs and r.status is Status.COMPLETE]  # fmt: skip
    return replace(result, confirmed=_confirmed(search, result, specs, again))


def cost_of(trial: Trial, cost: str) -> float:
    """What a trial costs, infinite where it was not recorded."""
    return float({"flops": trial.flops, "parameters": trial.parameters}.get(cost) or trial.memory or math.inf)


def _confirmed(
    search: Search,
    result: SearchResult,
    specs: Mapping[str, ExperimentSpec],
    again: Sequence[tuple[ExperimentSpec, float]],
) -> tuple[Confirmed, ...]:
    """The best of the search with the scores of the same experiment under other seeds."""
    if search.confirm is None:
        return ()
    scores: dict[str, list[float]] = {}
    for spec, score in again:
        scores.setdefault(spec.override({"seed": search.base.seed}).digest, []).append(score)
    best = (result.front if search.costs else result.complete)[: search.confirm.best]
    fresh = [scores.get(specs[trial.run_id].digest, []) for trial in best]
    return tuple(
        Confirmed(trial, estimate(values) if values else None)
        for trial, values in zip(best, fresh, strict=True)
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

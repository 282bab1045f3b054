"""A warm start: finished runs of other sweeps as trials that a search has seen before its first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import optuna

from lab import codec
from lab.errors import SpecError
from lab.search.objectives import scores
from lab.search.space import Asking, Axis, changes, path_of
from lab.search.suggest import distribution
from lab.search.trial import Trial
from lab.spec import ExperimentSpec
from lab.sweep import Search
from lab.tracking.tracker import RunRecord, Status, Tracker


def warm_trials(search: Search, tracker: Tracker) -> tuple[Trial, ...]:
    """The finished runs of the sweeps in `search.warm` that lie in its space, by digest: another order of
    the record makes no other search."""
    runs = [run for run in tracker.runs() if run.status is Status.COMPLETE and run.sweeps & {*search.warm}]
    return as_trials(search, runs)


def as_trials(search: Search, runs: Iterable[RunRecord]) -> tuple[Trial, ...]:
    """Those of the runs that the search could have tried itself, whatever their seed, with their results."""
    found: list[Trial] = []
    for run in sorted(runs, key=lambda run: run.digest):
        located = locate(search, run)
        if located is not None:
            params, ranges = located
            value, *costs = scores(search, run)
            trial = Trial(len(found), params, ranges, (), run.digest).ended("complete", value, None, costs)
            found += [trial] if trial.outcome == "complete" else []
    return tuple(found)


def locate(search: Search, run: RunRecord) -> tuple[dict[str, Any], dict[str, str]] | None:
    """Where in the space of a search a run lies, as (params, ranges) of a trial; None where it does not, or
    where something differs from the base that the space does not ask for."""
    ranges: dict[str, str] = {}
    try:
        spec = codec.loads(ExperimentSpec, run.spec)
        spec = spec.override({"seed": search.base.seed})

        def answer(name: str, axis: Axis) -> Any:
            ranges[name] = optuna.distributions.distribution_to_json(distribution(axis))
            return axis.key(value_at(spec, path_of(name)))

        asking = Asking(search.base, answer)
        made = search.base.override(changes(search.space, search.base, asking))
    except (SpecError, ValueError, AttributeError):
        return None
    return (asking.asked, ranges) if made == spec else None


def value_at(spec: ExperimentSpec, path: str) -> Any:
    """The field at a dotted path. Raises AttributeError."""
    value: Any = spec
    for part in path.split("."):
        value = getattr(value, part)
    return value

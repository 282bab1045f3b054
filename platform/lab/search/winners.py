"""What a search came to: its best configurations, by what they were selected on and by fresh seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from lab.search.ledger import Ledger
from lab.search.study import Study
from lab.search.suggest import Suggestion, again
from lab.search.trial import Trial
from lab.student import critical
from lab.sweep import Search
from lab.tracking.tracker import Status, Tracker


@dataclass(frozen=True)
class Winner:
    """One of the best of a search. fresh: the objective with every fresh seed that has been trained"""

    trial: Trial
    fresh: tuple[float, ...]

    @property
    def half_width(self) -> float | None:
        """Of the 95 % interval of the fresh mean, None for fewer than two seeds."""
        n = len(self.fresh)
        return critical(n - 1) * statistics.stdev(self.fresh) / math.sqrt(n) if n > 1 else None


def winners(search: Search, tracker: Tracker) -> list[Winner]:
    """The best configurations, best first; as many as are confirmed, else one."""
    parent = tracker.parent(search.name, kind="search", scale=search.scale)
    if parent is None:
        return []
    ranked = Study(search, Ledger.of(search, parent).trials).ranked
    seeds = search.confirm.seeds if search.confirm else ()
    found = []
    for trial in ranked[: search.confirm.best if search.confirm else 1]:
        spec = Suggestion(trial, again(search, trial)).spec(search)
        runs = tracker.find(spec.override({"seed": seed}).digest for seed in seeds)
        values = [
            run.metrics[search.objective]
            for run in runs.values()
            if run.status is Status.COMPLETE and search.objective in run.metrics
        ]
        found.append(Winner(trial, tuple(values)))
    return found


def tried(search: Search, tracker: Tracker) -> int:
    """How many configurations a search has tried, the same one twice counted once."""
    parent = tracker.parent(search.name, kind="search", scale=search.scale)
    trials = Ledger.of(search, parent).trials if parent else ()
    return len({trial.digest for trial in trials if trial.outcome in {"complete", "pruned"}})


def told(search: Search, found: list[Winner], tried: int) -> Iterator[str]:
    """The winners in lines, with how many configurations they were chosen from."""
    for place, winner in enumerate(found, 1):
        chosen = f"{place}. trial {winner.trial.number} ({winner.trial.digest}): {winner.trial.value:.4f}"
        yield f"  {chosen} {search.objective}, selected as the best of {tried}; {_fresh(winner)}"


def _fresh(winner: Winner) -> str:
    if not winner.fresh:
        return "not confirmed on fresh seeds, so biased upwards"
    spread = f" ± {winner.half_width:.4f}" if winner.half_width is not None else ""
    return f"{statistics.fmean(winner.fresh):.4f}{spread} on fresh seeds (n={len(winner.fresh)})"

"""How far a sweep is, in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lab.tracking.tracker import RunRecord, Status


@dataclass
class Tally:
    """Counts of a sweep of `total` jobs. reused: settled by what was on record, without training."""

    total: int
    objective: str
    direction: Literal["maximize", "minimize"] = "maximize"
    concurrent: int = 1
    reused: int = 0
    complete: int = 0
    pruned: int = 0
    failed: int = 0
    refused: int = 0
    """suggestions that make no experiment"""
    stopped: int = 0
    running: int = 0
    best: float | None = None
    best_run: str = ""
    seconds: list[float] = field(default_factory=list)
    """of the runs trained by this command"""

    @property
    def settled(self) -> int:
        """Jobs that need nothing any more."""
        return self.complete + self.pruned + self.failed + self.refused

    def add(self, run: RunRecord, seconds: float | None, *, ranks: bool = True) -> None:
        """Count a job that ended. seconds: what it took now, None for one that was on record · ranks: whether
        it may be the best."""
        name = run.status.value
        setattr(self, name, getattr(self, name) + 1)
        if seconds is None:
            self.reused += 1
        elif run.status is not Status.STOPPED:
            self.seconds.append(seconds)
        value = run.metrics.get(self.objective)
        if ranks and run.status is Status.COMPLETE and value is not None and self._better(value):
            self.best, self.best_run = value, run.run_id

    def line(self) -> str:
        """`3/36 done, 2 running, 0 failed, best validation/top1 0.953, ETA 1m20s`."""
        parts = [f"{self.settled}/{self.total} done"]
        parts += [f"{self.running} running"] if self.running else []
        parts += [f"{self.pruned} pruned"] if self.pruned else []
        parts += [f"{self.failed + self.refused} failed"]
        parts += [f"best {self.objective} {self.best:.3f}"] if self.best is not None else []
        parts += [f"ETA {span(self.left)}"] if self.left is not None else []
        return ", ".join(parts)

    @property
    def left(self) -> float | None:
        """Seconds to the end if the rest takes as long as the runs so far; None while nothing is known."""
        rest = self.total - self.settled
        if not self.seconds or not rest:
            return None
        return sum(self.seconds) / len(self.seconds) * rest / self.concurrent

    def _better(self, value: float) -> bool:
        if self.best is None:
            return value == value  # noqa: PLR0124 (not NaN)
        return value > self.best if self.direction == "maximize" else value < self.best


def told(title: str, run: RunRecord, objective: str, seconds: float) -> str:
    """The line of one job that ended."""
    value = run.metrics.get(objective)
    result = f"{objective} {value:.3f}" if value is not None else ""
    if run.status is not Status.COMPLETE:
        result = f"{run.status} {result} {run.tags.get('reason', '')}"
    return " ".join(f"{title}: {result} in {span(seconds)}".split())


def span(seconds: float) -> str:
    """`12s`, `1m20s`, `3h05m`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"

"""What a sweep has still to do, and what became of the rest: rebuilt from the record by every command."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from lab.search.trial import Trial
from lab.spec import ExperimentSpec
from lab.sweep import Ablation
from lab.tracking.tracker import RunRecord


@dataclass(frozen=True)
class Job:
    """One experiment to be run. label: of its case, or the number of its trial, which is also in `trial` ·
    ranks: whether it may be the best of the sweep; what confirms a winner may not"""

    spec: ExperimentSpec
    title: str
    label: str
    tags: dict[str, str] = field(default_factory=dict)
    trial: int | None = None
    ranks: bool = True


class Agenda(Protocol):
    """The jobs of a sweep in order. Jobs that the record has settled already are among them: ask the
    record."""

    @property
    def total(self) -> int:
        """How many jobs the sweep has."""

    @property
    def ended(self) -> list[Trial]:
        """The trials of a search that had ended before; they are no jobs any more."""

    def known(self) -> Iterator[ExperimentSpec]:
        """The experiments of which it is certain by now that they are among the jobs."""

    def next(self) -> Job | None:
        """The next job, or None when there are no more."""

    def settle(self, job: Job, run: RunRecord) -> None:
        """Take note of what became of a job."""

    def pruned_before(self, job: Job) -> Trial | None:
        """The trial that was pruned of which a job is a repetition, if there is one."""

    def repeat(self, job: Job, earlier: Trial) -> None:
        """Take note that a job ended as an earlier trial had."""

    def refused(self) -> dict[int, str]:
        """The trials that make no experiment, and why."""


class AblationAgenda:
    """Every case with every seed."""

    def __init__(self, ablation: Ablation) -> None:
        self.ablation = ablation
        self._jobs = self._all()

    @property
    def total(self) -> int:
        return len(self.ablation.cases) * len(self.ablation.seeds)

    @property
    def ended(self) -> list[Trial]:
        return []

    def known(self) -> Iterator[ExperimentSpec]:
        return (spec for _, spec in self.ablation.specs())

    def next(self) -> Job | None:
        return next(self._jobs, None)

    def settle(self, job: Job, run: RunRecord) -> None:
        """The run itself says it all."""

    def pruned_before(self, job: Job) -> Trial | None:
        return None

    def repeat(self, job: Job, earlier: Trial) -> None:
        """Nothing is repeated."""

    def refused(self) -> dict[int, str]:
        return {}

    def _all(self) -> Iterator[Job]:
        for case, spec in self.ablation.specs():
            tags = {"sweep": self.ablation.name, "scale": self.ablation.scale, "case": case.label}
            yield Job(spec, f"{case.label} seed {spec.seed}", case.label, tags)

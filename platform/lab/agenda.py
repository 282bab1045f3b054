"""What a sweep has still to do, and what became of the rest: rebuilt from the record by every command."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

from lab.errors import SpecError
from lab.spec import ExperimentSpec
from lab.study import Study, Suggestion, Trial, again
from lab.sweep import Ablation, Search
from lab.tracking.tracker import RunRecord, Status, Tracker


@dataclass(frozen=True)
class Job:
    """One experiment to be run. label: of its case, or the number of its trial, which is also in `trial`."""

    spec: ExperimentSpec
    title: str
    label: str
    tags: dict[str, str] = field(default_factory=dict)
    trial: int | None = None


class Agenda(Protocol):
    """The jobs of a sweep in order. Jobs that the record has settled already are among them: ask the
    record."""

    @property
    def total(self) -> int:
        """How many jobs the sweep has."""

    def known(self) -> Iterator[ExperimentSpec]:
        """The experiments of which it is certain by now that they are among the jobs."""

    def next(self) -> Job | None:
        """The next job, or None when there are no more."""

    def settle(self, job: Job, run: RunRecord) -> None:
        """Take note of what became of a job."""

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

    def known(self) -> Iterator[ExperimentSpec]:
        return (spec for _, spec in self.ablation.specs())

    def next(self) -> Job | None:
        return next(self._jobs, None)

    def settle(self, job: Job, run: RunRecord) -> None:
        """The run itself says it all."""

    def refused(self) -> dict[int, str]:
        return {}

    def _all(self) -> Iterator[Job]:
        for case, spec in self.ablation.specs():
            tags = {"sweep": self.ablation.name, "scale": self.ablation.scale, "case": case.label}
            yield Job(spec, f"{case.label} seed {spec.seed}", case.label, tags)


class SearchAgenda:
    """The trials of a search: those that were begun first, with what they had been given, then new
    suggestions.

    Each trial is kept as a tag of the parent run, under the digest of the base, so that a search around
    another base begins anew.
    """

    def __init__(self, search: Search, tracker: Tracker, parent: RunRecord) -> None:
        self.search, self.tracker, self.parent = search, tracker, parent
        self.prefix = f"trial.{search.base.digest}."
        recorded = [
            Trial.from_json(text) for name, text in parent.tags.items() if name.startswith(self.prefix)
        ]
        self.study = Study(search, sorted(recorded, key=lambda trial: trial.number))
        self._unfinished = [
            t for t in self.study.trials.values() if t.outcome == "running" and t.number < search.trials
        ]
        self._refused = {t.number: "found out before" for t in self.ended if not t.digest}

    @property
    def total(self) -> int:
        return self.search.trials

    @property
    def ended(self) -> list[Trial]:
        """The trials that need nothing any more."""
        return [trial for trial in self.study.trials.values() if trial.outcome != "running"]

    def known(self) -> Iterator[ExperimentSpec]:
        for trial in self.study.trials.values():
            if trial.digest:
                yield Suggestion(trial, again(self.search, trial)).spec(self.search)

    def next(self) -> Job | None:
        if self._unfinished:
            trial = self._unfinished.pop(0)
            return self._job(Suggestion(trial, again(self.search, trial)))
        while (suggestion := self.study.ask()) is not None:
            try:
                spec = suggestion.spec(self.search)
            except SpecError as fault:
                self._keep(suggestion.trial.ended("failed"))
                self._refused[suggestion.trial.number] = str(fault)
                continue
            self._keep(replace(suggestion.trial, digest=spec.digest))
            return self._job(suggestion)
        if self._refused and len(self._refused) == len(self.study.trials):
            raise SpecError(
                f"{self.search.name}: no suggestion makes an experiment: {[*self._refused.values()][-1]}"
            )
        return None

    def settle(self, job: Job, run: RunRecord) -> None:
        """A run that was stopped leaves its trial unfinished; the others end it."""
        if job.trial is None or run.status in {Status.RUNNING, Status.STOPPED}:
            return
        trial = self.study.trials[job.trial]
        if run.status is Status.COMPLETE:
            trial = trial.ended("complete", run.metrics.get(self.search.objective))
        elif run.status is Status.PRUNED:
            trial = trial.ended("pruned", None, dict(self.tracker.history(run.run_id, self.search.objective)))
        else:
            trial = trial.ended("failed")
        self._keep(trial)

    def refused(self) -> dict[int, str]:
        return self._refused

    def _keep(self, trial: Trial) -> None:
        self.study.keep(trial)
        self.tracker.tag(self.parent.run_id, {f"{self.prefix}{trial.number:04}": trial.to_json()})

    def _job(self, suggestion: Suggestion) -> Job:
        number = suggestion.trial.number
        tags = {"sweep": self.search.name, "scale": self.search.scale, "trial": str(number)}
        shown = " ".join(
            f"{name.rpartition('.')[2]}={_short(value)}" for name, value in suggestion.trial.params.items()
        )
        return Job(suggestion.spec(self.search), f"trial {number} {shown}", str(number), tags, number)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

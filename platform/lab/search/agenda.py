"""What a search has still to do: unfinished trials, new suggestions, and at last the best on fresh seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lab.agenda import Job
from lab.errors import SpecError
from lab.search.ledger import Ledger, beginning, entry
from lab.search.objectives import scores
from lab.search.study import Study
from lab.search.suggest import Suggestion, again
from lab.search.trial import Trial
from lab.search.warm import warm_trials
from lab.spec import ExperimentSpec
from lab.sweep import Search
from lab.tracking.tracker import RunRecord, Status, Tracker

CONFIRMS = "confirms "
"""how the label of a run begins that confirms a trial"""


class SearchAgenda:
    """The trials of a search: those that were begun first, with what they had been given, then new
    suggestions; when all have ended, the best of them on fresh seeds.

    Each trial is kept as a tag of the parent run, under the identity of the search, so that a search with
    another base or sampler begins anew.
    """

    def __init__(self, search: Search, tracker: Tracker, parent: RunRecord) -> None:
        self.search, self.tracker, self.parent = search, tracker, parent
        ledger = Ledger.of(search, parent)
        if ledger.begun_with is None:
            warm = warm_trials(search, tracker) if search.warm else ()
            self._write(beginning(search, warm))
            ledger = replace(ledger, begun_with=warm)
        self.study = Study(search, ledger.trials, ledger.warm)
        self._unfinished = [
            t for t in self.study.trials.values() if t.outcome == "running" and t.number < search.total
        ]
        self._refused = {t.number: "found out before" for t in self.ended if not t.digest}
        self._confirming: Iterator[Job] | None = None
        self._asked: Suggestion | None = None
        """what the record has not been told of yet"""

    @property
    def total(self) -> int:
        """Trials and confirmations; of the latter no more than there can be winners."""
        confirm = self.search.confirm
        if confirm is None:
            return self.search.total
        winners = len(self._winners()) if self._tried else min(confirm.best, self.search.total)
        return self.search.total + winners * len(confirm.seeds)

    @property
    def ended(self) -> list[Trial]:
        """The trials that need nothing any more."""
        return [trial for trial in self.study.trials.values() if trial.outcome != "running"]

    def known(self) -> Iterator[ExperimentSpec]:
        for trial in self.study.trials.values():
            if trial.digest:
                yield self._experiment(trial)

    def next(self) -> Job | None:
        if self._unfinished:
            trial = self._unfinished.pop(0)
            return self._job(Suggestion(trial, again(self.search, trial)))
        while (suggestion := self._asked or self.study.ask()) is not None:
            self._asked = suggestion
            try:
                spec = suggestion.spec(self.search)
            except SpecError as fault:
                self._keep(suggestion.trial.ended("failed"))
                self._refused[suggestion.trial.number], self._asked = str(fault), None
                continue
            self._keep(replace(suggestion.trial, digest=spec.digest))
            self._asked = None
            return self._job(suggestion)
        if self._refused and len(self._refused) == len(self.study.trials):
            raise SpecError(
                f"{self.search.name}: no suggestion makes an experiment: {[*self._refused.values()][-1]}"
            )
        if self.search.confirm is None or not self._tried:
            return None
        self._confirming = self._confirming or self._confirmations()
        return next(self._confirming, None)

    def settle(self, job: Job, run: RunRecord) -> None:
        """A run that was stopped leaves its trial unfinished; the others end it."""
        if job.trial is None or run.status in {Status.RUNNING, Status.STOPPED}:
            return
        trial = self.study.trials[job.trial]
        if run.status is Status.COMPLETE:
            value, *costs = scores(self.search, run)
            trial = trial.ended("complete", value, None, costs)
        elif run.status is Status.PRUNED:
            trial = trial.ended("pruned", None, dict(self.tracker.history(run.run_id, self.search.objective)))
        else:
            trial = trial.ended("failed")
        self._keep(trial)

    def pruned_before(self, job: Job) -> Trial | None:
        """The first of this search that was pruned with the same experiment, seed included: trained again it
        would measure the same, so that what ended it ends it again."""
        if job.trial is None:
            return None
        trials = sorted(self.study.trials.values(), key=lambda trial: trial.number)
        alike = (t for t in trials if t.digest == job.spec.digest and t.outcome == "pruned")
        return next(alike, None)

    def repeat(self, job: Job, earlier: Trial) -> None:
        assert job.trial is not None
        self._keep(self.study.trials[job.trial].ended("pruned", None, earlier.intermediate))

    def refused(self) -> dict[int, str]:
        return self._refused

    @property
    def _tried(self) -> bool:
        """Whether every trial has ended."""
        trials = self.study.trials.values()
        return len(trials) >= self.search.total and all(trial.outcome != "running" for trial in trials)

    def _winners(self) -> list[Trial]:
        confirm = self.search.confirm
        return self.study.ranked[: confirm.best] if confirm else []

    def _confirmations(self) -> Iterator[Job]:
        winners, confirm = self._winners(), self.search.confirm
        assert confirm is not None
        for place, spec in confirm.again([self._experiment(trial) for trial in winners]):
            number = winners[place].number
            tags = {"sweep": self.search.name, "scale": self.search.scale, "confirms": str(number)}
            yield Job(
                spec, f"trial {number} again, seed {spec.seed}", f"{CONFIRMS}{number}", tags, ranks=False
            )

    def _experiment(self, trial: Trial) -> ExperimentSpec:
        return Suggestion(trial, again(self.search, trial)).spec(self.search)

    def _keep(self, trial: Trial) -> None:
        self.study.keep(trial)
        self._write(entry(self.search, trial))

    def _write(self, tags: dict[str, str]) -> None:
        self.tracker.tag(self.parent.run_id, tags)

    def _job(self, suggestion: Suggestion) -> Job:
        number = suggestion.trial.number
        tags = {"sweep": self.search.name, "scale": self.search.scale, "trial": str(number)}
        shown = " ".join(
            f"{name.rpartition('.')[2]}={_short(value)}" for name, value in suggestion.trial.params.items()
        )
        return Job(suggestion.spec(self.search), f"trial {number} {shown}", str(number), tags, number)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

"""A sweep within a budget: what cannot be afforded now is put off, and left out if it never can be."""

from __future__ import annotations

from collections.abc import Iterator

from lab.agenda import Agenda, Job
from lab.budget import Purse
from lab.search.trial import Trial
from lab.spec import ExperimentSpec
from lab.tally import span
from lab.tracking.tracker import RunRecord, Status, Tracker


class WithinBudget:
    """An agenda that gives only what the purse affords. What is on record costs nothing.

    in_order: whether nothing may overtake what was put off, as in a search, whose next suggestion would else
    be another one than without a budget."""

    def __init__(self, agenda: Agenda, purse: Purse, tracker: Tracker, *, in_order: bool) -> None:
        self.agenda, self.purse, self.tracker, self.in_order = agenda, purse, tracker, in_order
        self.put_off: list[Job] = []

    @property
    def total(self) -> int:
        return self.agenda.total

    @property
    def ended(self) -> list[Trial]:
        return self.agenda.ended

    def known(self) -> Iterator[ExperimentSpec]:
        return self.agenda.known()

    def next(self) -> Job | None:
        for job in self.put_off[:1] if self.in_order else list(self.put_off):
            if self._affordable(job):
                self.put_off.remove(job)
                return job
        while not (self.in_order and self.put_off):
            new = self.agenda.next()
            if new is None:
                return None
            self.put_off.append(new)  # an agenda gives it once, and the record may not answer now
            if self._affordable(new):
                self.put_off.remove(new)
                return new
        return None

    def settle(self, job: Job, run: RunRecord) -> None:
        self.purse.end(job.spec.digest)
        self.agenda.settle(job, run)

    def told(self) -> str:
        """What the budget left out."""
        budget, spent = self.purse.budget, span(self.purse.spent)
        kind = " of devices" if budget.of_devices else ""
        if not self.put_off:
            return f"the budget of {budget.words} is used up ({spent}{kind}): what was at work has stopped"
        first, *others = self.put_off
        price = self.purse.price(first.spec)
        takes = f"may take {span(price.high)}" if price else "has no price (`lab plan --probe` measures one)"
        more = f", and {len(others)} more" if others else ""
        left = f"{first.title}, which {takes}{more}"
        return f"left out by the budget of {budget.words} ({spent}{kind} spent): {left}"

    def refused(self) -> dict[int, str]:
        return self.agenda.refused()

    def _affordable(self, job: Job) -> bool:
        run = self.tracker.find([job.spec.digest]).get(job.spec.digest)
        if run is not None and run.status is Status.COMPLETE:
            return True
        if not self.purse.affords(job.spec):
            return False
        self.purse.begin(job.spec)
        return True

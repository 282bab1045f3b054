"""A sweep within a budget: what cannot be afforded now is put off, and left out if it never can be."""

from __future__ import annotations

from lab.agenda import Job
from lab.budget import Purse
from lab.tally import span


class Allowance:
    """What may be begun of a sweep: all of it without a purse, else what that affords.

    in_order: whether nothing may overtake what was put off, as in a search, whose next suggestion would else
    be another one than without a budget."""

    def __init__(self, purse: Purse | None = None, *, in_order: bool = False) -> None:
        self.purse, self.in_order = purse, in_order
        self.put_off: list[Job] = []

    def grants(self, job: Job) -> bool:
        """Whether a job may be begun now; it is put off otherwise."""
        if self.purse is None or self.purse.affords(job.spec):
            return True
        self.put_off.append(job)
        return False

    def next(self) -> Job | None:
        """A job that was put off and can be afforded by now."""
        for job in self.put_off[:1] if self.in_order else list(self.put_off):
            if self.purse is None or self.purse.affords(job.spec):
                self.put_off.remove(job)
                return job
        return None

    @property
    def lets_others_by(self) -> bool:
        """Whether a job may come that was not put off before."""
        return not (self.in_order and self.put_off)

    def begin(self, digest: str, ago: float) -> None:
        """An experiment has been at work for so many seconds."""
        if self.purse is not None:
            self.purse.begin(digest, ago)

    def release(self, digest: str) -> None:
        """What was granted is not to begin now."""
        if self.purse is not None:
            self.purse.release(digest)

    def end(self, digest: str) -> None:
        """An experiment is not at work any more."""
        if self.purse is not None:
            self.purse.end(digest)

    def told(self) -> str:
        """What the budget left out, nothing where there was enough."""
        if self.purse is None or not (self.put_off or self.purse.empty):
            return ""
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

"""Trials that have ended, until the record knows of it: each run is closed as what it ended with, and its job
settled, or tried once more where that may help."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from lab.backlog import Backlog
from lab.books import Books
from lab.errors import RecordError, RunError, RunTaken, TrackingUnreachable
from lab.outage import Outage
from lab.running import Ended
from lab.tally import told
from lab.tracking.lease import this_process
from lab.tracking.tracker import RunRecord, Scalar, Status
from lab.trial import StoppableSink

INFEASIBLE = "infeasible"
"""tag of a failed run that was short of memory even with nothing else going on"""


class Holder(Protocol):
    """A recorder, wherever it lives."""

    def hold(self, run_id: str) -> None: ...

    def release(self, run_id: str) -> None: ...

    def request_stop(self) -> None: ...

    def latest(self) -> dict[str, dict[str, Scalar]]: ...

    def sink(self, run_id: str) -> StoppableSink: ...


class Closing:
    """The trials of one sweep that have ended. parent: the run of the sweep · holder: who has written down
    what they measured · last: whether no trial is begun any more, so that none can be measured again now"""

    def __init__(
        self, books: Books, backlog: Backlog, outage: Outage, parent: RunRecord, say: Callable[[str], object]
    ) -> None:
        self.books, self.backlog, self.outage, self.parent, self.say = books, backlog, outage, parent, say
        self.tracker = books.tracker
        self.holder: Holder | None = None
        self.last = False
        self._ended: deque[Ended] = deque()
        self._refused: list[Ended] = []

    @property
    def pending(self) -> bool:
        """Whether the record has to be told of a trial."""
        return bool(self._ended)

    def add(self, ended: Ended) -> None:
        """One more that the record has to be told of."""
        self._ended.append(ended)

    def try_again(self) -> None:
        """Those count as not told again of which the record would not hear."""
        self._ended.extend(self._refused)
        self._refused = []

    def told_all(self, *, idle: bool) -> bool:
        """Whether the record knows of every trial that has ended; it is told, unless it was away just now.
        idle: whether nothing trains. Raises what `Outage.met` and `tell` raise."""
        if self._ended and not self.outage.resting:
            try:
                self.tell()
            except TrackingUnreachable as fault:
                self.outage.met(fault, idle=idle)
        return not self._ended

    def tell(self) -> None:
        """Tell the record of trials that have ended, each until it has heard. Raises TrackingUnreachable; and
        what one of them met, when all the others have been told."""
        met: Exception | None = None
        while self._ended:
            try:
                self._close(self._ended[0])
            except TrackingUnreachable:
                raise
            except Exception as fault:
                met = met or fault
                self._refused.append(self._ended[0])
            self._ended.popleft()
        self.outage.over()
        if met is not None:
            raise met

    def _close(self, ended: Ended) -> None:
        job, run = ended.trial.job, ended.trial.run
        later = ended.starved and self.backlog.alone is not job
        try:
            status, reason = self._released(ended)
            if later:
                status, reason = Status.STOPPED, f"{reason} It is tried again alone, after the others."
            self.tracker.end(run.run_id, status, owner=this_process(), reason=reason)
        except RunTaken as fault:  # not ours to close any more; another look at it tells what became of it
            self.say(f"{job.title}: {fault}")
            self.backlog.leave(job)
            return
        tags = {"traceback": ended.trace} if ended.trace else {}
        tags |= {INFEASIBLE: "true"} if ended.starved and not later else {}
        if tags:
            self.tracker.tag(run.run_id, tags)
        if later:
            self.backlog.starve(job)
            self.say(f"{job.title}: {reason}")
            return
        self._settle(ended)

    def _released(self, ended: Ended) -> tuple[Status, str]:
        """What a trial is to be closed as, once all that it has measured is on record."""
        if self.holder is None:
            raise RunError("nothing can have been trained before a recorder is attached.")
        try:
            self.holder.release(ended.trial.run.run_id)
        except (TrackingUnreachable, RunTaken):
            raise
        except RecordError as fault:  # what it had measured last may be lost: it is measured again
            if not self.last:
                raise
            return Status.STOPPED, str(fault)
        return ended.status, ended.reason

    def _settle(self, ended: Ended) -> None:
        """Settle a job whose run is closed, and those that waited for the same run."""
        job, digest = ended.trial.job, ended.trial.run.digest
        run = self.tracker.find([digest])[digest]
        self.books.settle(job, run, ended.seconds)
        self.backlog.over(job)
        for twin in self.backlog.twins(digest):
            try:
                self.books.settle(twin, run, None)
            except TrackingUnreachable:
                self.backlog.put_back(twin)  # it will be found on record
        tally, objective = self.books.tally, self.books.objective
        if tally.best is not None:
            best = Scalar(f"best/{objective}", tally.settled, tally.best)
            with suppress(TrackingUnreachable):  # the next one says more
                self.tracker.log(self.parent.run_id, [best])
        self.say(f"{told(job.title, run, objective, ended.seconds)} · {tally.line()}")

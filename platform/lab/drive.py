"""One command's way through a sweep: what is run next, and what becomes of it. Knows nothing of who runs
it."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Literal

from lab.agenda import Agenda, Job
from lab.backlog import Backlog
from lab.books import Books
from lab.budget import Purse
from lab.closing import INFEASIBLE, Closing, Holder
from lab.errors import DataChanged, LabError, RecordError, RunError, RunTaken, TrackingUnreachable
from lab.origin import origin, require_same_data
from lab.outage import Outage
from lab.quantity import quantity
from lab.resources import Resources
from lab.running import NO_PLACE, Ended, Running
from lab.settings import Settings
from lab.sweep import Search, Sweep
from lab.tracking.lease import this_process
from lab.tracking.patience import Patience
from lab.tracking.tracker import RunRecord, Status, Tracker
from lab.trial import Work
from lab.within import Allowance

__all__ = ["INFEASIBLE", "NO_MORE", "NO_PLACE", "Drive", "Holder", "Running", "Say"]

NO_MORE: Literal["no more"] = "no more"

Say = Callable[[str], object]


class Drive:
    """One command's way through an agenda: what Tune asks for next, and what becomes of it."""

    def __init__(
        self,
        sweep: Sweep,
        agenda: Agenda,
        parent: RunRecord,
        *,
        resources: Resources,
        settings: Settings,
        tracker: Tracker,
        say: Say,
        needed: Container[str] = frozenset(),
        purse: Purse | None = None,
    ) -> None:
        """needed: digests that are trained to their end, whatever prunes the others · purse: what may be
        spent."""
        self.sweep, self.agenda, self.parent = sweep, agenda, parent
        self.resources, self.settings, self.tracker, self.say = resources, settings, tracker, say
        self.needed = needed
        self.allowance = Allowance(purse, in_order=isinstance(sweep, Search))
        self.backlog, self.outage = Backlog(agenda, self.allowance), Outage(settings.patience, say)
        self.books = Books(sweep, agenda, tracker, settings)
        self.tally, self.runs, self.objective = self.books.tally, self.books.runs, self.books.objective
        self.stopped = False
        self.not_begun: dict[str, str] = {}
        """title of a job -> why it could not even be begun"""
        self._closing = Closing(self.books, self.backlog, self.outage, parent, say)
        self._running: dict[str, Running] = {}

    @property
    def recorder(self) -> Holder:
        if self._closing.holder is None:
            raise RunError("nothing can be trained before a recorder is attached.")
        return self._closing.holder

    def require_same_data(self) -> None:
        """Raise DataChanged where a run of this sweep was made from other bytes than are prepared now."""
        self.books.require_same_data()

    def anything_left(self) -> bool:
        """Whether a job has to be trained and can be afforded; those that the record has settled are counted.
        May be asked again where the record was away."""
        while (job := self._next_job()) is not None:
            try:
                left = not self._settled_on_record(job) and self.allowance.grants(job)
            except TrackingUnreachable:
                self.backlog.put_back(job)
                raise
            if left:
                self.backlog.put_back(job)
                return True
        return False

    def propose(self, trial_id: str) -> Work | Literal["no more"] | None:
        """The next work, None for "ask again", or that there is no more.

        What cannot be begun is told and passed over. While the record is away nothing is begun; raises
        TrackingUnreachable when it stays away for longer than the patience and nothing trains any more.
        """
        if not self._closing.told_all(idle=self._idle) or self.outage.resting:
            return None
        while not self.stopped and self.backlog.alone is None:
            try:
                job = self._next_job()
                if job is None:
                    break
                run = self._begun(job)
            except TrackingUnreachable as fault:
                self.outage.met(fault, idle=self._idle)
                return None
            if run is not None:
                return self._under_way(trial_id, job, run)
            self.backlog.over(job)
            self.allowance.release(job.spec.digest)
        # What runs may come back for another try, and a search may wait for how it ends.
        later = self.backlog or self._running
        return None if later and not self.stopped else NO_MORE

    def _next_job(self) -> Job | None:
        job = self.backlog.next(idle=not self._running)
        self.tally.refused, self.tally.total = len(self.agenda.refused()), self.agenda.total
        return job

    def _begun(self, job: Job) -> RunRecord | None:
        """The run of a job to be trained now; None where that is not to be."""
        try:
            if self._settled_on_record(job):
                return None
            if any(other.run.digest == job.spec.digest for other in self._running.values()):
                self.backlog.pair(job)
                return None
            if not self.allowance.grants(job):
                return None
            run = self._begin(job)
            if run.status is not Status.COMPLETE:
                return run
            self._settled_on_record(job)  # somebody else has made it since this command began
        except RunTaken as fault:
            if not self.backlog.looked_at(job):
                self.say(f"{job.title} waits: {fault}")
            self.backlog.leave(job)
        except TrackingUnreachable:
            self.backlog.put_back(job)
            raise
        except (RecordError, DataChanged):
            raise
        except LabError as fault:  # no job may sink the sweep
            self.not_begun[job.title] = str(fault)
            self.tally.failed += 1
            self.say(f"{job.title}: cannot be begun: {fault} · {self.tally.line()}")
        return None

    def _begin(self, job: Job) -> RunRecord:
        tags = origin(job.spec, self.settings) | job.tags | {self.books.member: job.label}
        name, parent = self.sweep.name, self.parent.run_id
        run = self.tracker.begin(job.spec, name=name, owner=this_process(), tags=tags, parent=parent)
        if run.status is not Status.COMPLETE:
            require_same_data(run, job.spec, self.settings)
            self._hold(run)
        return run

    def _hold(self, run: RunRecord) -> None:
        """Have the recorder write into a run. One that cannot be written into is not left open."""
        try:
            self.recorder.hold(run.run_id)
        except RecordError as fault:
            with suppress(RecordError):
                self.tracker.end(run.run_id, Status.STOPPED, owner=this_process(), reason=str(fault))
            raise

    def _under_way(self, trial_id: str, job: Job, run: RunRecord) -> Work:
        self.outage.over()
        self._running[trial_id] = Running(job, run, time.monotonic())
        self.tally.running = len(self._running)
        pruning = isinstance(self.sweep, Search) and self.sweep.pruning is not None
        sink, objective = self.recorder.sink(run.run_id), self.objective if pruning else None
        return Work(job.spec, sink, self.resources, self.settings, objective, not self._prunes(job))

    def _prunes(self, job: Job) -> bool:
        """Whether a job may be ended before its time."""
        pruning = isinstance(self.sweep, Search) and self.sweep.pruning is not None
        return pruning and job.ranks and job.spec.digest not in self.needed

    def begun(self, trial_id: str, ago: float = 0.0) -> None:
        """A trial has had its place for so many seconds; until then it waited, and cost nothing."""
        waiting = self._running.get(trial_id)
        if waiting is not None and not waiting.begun:
            self._running[trial_id] = replace(waiting, since=time.monotonic() - ago, begun=True)
            self.allowance.begin(waiting.run.digest, ago)

    def attach(self, recorder: Holder, concurrent: int) -> None:
        """Give what is needed to train: a recorder, and how many runs go on at a time."""
        self._closing.holder, self.tally.concurrent = recorder, concurrent
        recorder.hold(self.parent.run_id)

    def stop(self) -> None:
        """Propose nothing more, and ask those who train to stop."""
        if self._closing.holder is not None and not self.stopped:
            self.stopped = True
            at_work = sum(trial.begun for trial in self._running.values())
            writing = f"{quantity(at_work, 'run')} to write a last checkpoint (Ctrl-C again gives up)"
            self.say(f"stopping: {writing if at_work else 'nothing is at work'}")
            self.recorder.request_stop()

    def close(self) -> None:
        """Leave nothing open: runs given up are stopped, and the parent is complete if the sweep is. Once is
        enough. What cannot be told to a record that stays away lapses with this process."""
        if self._closing.last:
            return
        self._closing.last = True
        left = 0.0 if self.outage.lasts else self.settings.patience
        self._closing.try_again()
        for trial_id, trial in list(self._running.items()):
            reason = "given up" if trial.begun else NO_PLACE
            self._take_down(trial_id, Ended(trial, Status.STOPPED, reason))
        patience = Patience(left)
        with suppress(TrackingUnreachable):
            try:
                patience.with_call(self._closing.tell)
            finally:
                patience.with_call(self._close_parent)

    def _close_parent(self) -> None:
        if self._closing.holder is not None:
            try:
                self.recorder.release(self.parent.run_id)
            except RunTaken:
                return
            except RecordError:  # the parent is closed even if the recorder is gone
                pass
        if self.tally.best_run:
            self.tracker.tag(self.parent.run_id, {"best": self.tally.best_run})
        # What failed in a search is a result; in an ablation it is a gap.
        gaps = 0 if isinstance(self.sweep, Search) else self.tally.failed
        done = self.tally.settled - gaps >= self.tally.total
        with suppress(RunTaken):
            closed = Status.COMPLETE if done else Status.STOPPED
            self.tracker.end(self.parent.run_id, closed, owner=this_process())

    def finish(
        self, trial_id: str, status: Status, reason: str, trace: str = "", *, starved: bool = False
    ) -> None:
        """Close the run of a trial as what it ended with, as soon as the record can be told. starved: it was
        short of memory; it is tried once more, alone, when all others are done."""
        self._take_down(trial_id, Ended(self._running[trial_id], status, reason, trace, starved))
        self.outage.hurry()
        with suppress(TrackingUnreachable):  # whoever asks for more hears of it
            self._closing.told_all(idle=self._idle)

    def _take_down(self, trial_id: str, ended: Ended) -> None:
        del self._running[trial_id]
        self.allowance.end(ended.trial.run.digest)
        self.tally.running = len(self._running)
        self._closing.add(ended)

    def running(self) -> Iterator[Running]:
        """The trials at work or on their way there, in the order in which they were proposed."""
        yield from list(self._running.values())

    @property
    def halted(self) -> bool:
        """Whether it was asked to stop, nobody trains any more, and the record has been told."""
        at_work = any(trial.begun for trial in self._running.values())
        return self.stopped and not at_work and not self._closing.pending

    @property
    def _idle(self) -> bool:
        """Whether nothing trains that could go on without the record."""
        return not self._running and not self._closing.last

    def _settled_on_record(self, job: Job) -> bool:
        settled = self.books.on_record(job)
        if not settled and self._prunes(job) and (earlier := self.books.repeated(job)) is not None:
            settled = True
            self.say(f"{job.title}: pruned as trial {earlier.number} was, which is the same experiment")
        for twin in self.backlog.twins(job.spec.digest) if settled else []:
            self.backlog.put_back(twin)
        return settled

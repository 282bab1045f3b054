"""One command's way through a sweep: what is run next, and what becomes of it. Knows nothing of who runs
it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from lab.agenda import Agenda, Job
from lab.backlog import Backlog
from lab.books import Books
from lab.budget import Purse
from lab.errors import DataChanged, LabError, RecordError, RunError, RunTaken, TrackingUnreachable
from lab.origin import origin, require_same_data
from lab.outage import Outage
from lab.resources import Resources
from lab.settings import Settings
from lab.sweep import Search, Sweep
from lab.tally import told
from lab.tracking.lease import this_process
from lab.tracking.patience import Patience
from lab.tracking.tracker import RunRecord, Scalar, Status, Tracker
from lab.trial import StoppableSink, Work
from lab.within import Allowance

INFEASIBLE = "infeasible"
"""tag of a failed run that was short of memory even with nothing else going on"""
NO_MORE: Literal["no more"] = "no more"
NO_PLACE = "stopped before it had a place"
"""why a run ended of which nothing was trained"""

Say = Callable[[str], object]


class Holder(Protocol):
    """A recorder, wherever it lives."""

    def hold(self, run_id: str) -> None: ...

    def release(self, run_id: str) -> None: ...

    def request_stop(self) -> None: ...

    def latest(self) -> dict[str, dict[str, Scalar]]: ...

    def sink(self, run_id: str) -> StoppableSink: ...


@dataclass(frozen=True)
class Running:
    """A trial at work, or on its way there. since: when it began, else when it was proposed, of the monotonic
    clock."""

    job: Job
    run: RunRecord
    since: float
    begun: bool = False


@dataclass(frozen=True)
class _Ended:
    """A trial that the record has to be told of. starved: it was short of memory."""

    trial: Running
    status: Status
    reason: str
    trace: str = ""
    starved: bool = False
    at: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return self.at - self.trial.since


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
        self._recorder: Holder | None = None
        self._running: dict[str, Running] = {}
        self._ended: deque[_Ended] = deque()
        self._untold: list[_Ended] = []
        """which the record would not hear of: it is tried once more at the end"""
        self._told: set[str] = set()
        self._closed = False

    @property
    def recorder(self) -> Holder:
        if self._recorder is None:
            raise RunError("nothing can be trained before a recorder is attached.")
        return self._recorder

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
        if not self._told_all() or self.outage.resting:
            return None
        while not self.stopped and self.backlog.alone is None:
            try:
                job = self._next_job()
                if job is None:
                    break
                run = self._begun(job)
            except TrackingUnreachable as fault:
                self._missed(fault)
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
            if job.spec.digest not in self._told:
                self.say(f"{job.title} waits: {fault}")
            self._another_look(job)
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
        self._recorder, self.tally.concurrent = recorder, concurrent
        recorder.hold(self.parent.run_id)

    def stop(self) -> None:
        """Propose nothing more, and ask those who train to stop."""
        if self._recorder is not None and not self.stopped:
            self.stopped = True
            at_work = sum(trial.begun for trial in self._running.values())
            writing = f"{at_work} runs write their checkpoints (Ctrl-C again gives them up)"
            self.say(f"stopping: {writing if at_work else 'nothing is at work'}")
            self._recorder.request_stop()

    def close(self) -> None:
        """Leave nothing open: runs given up are stopped, and the parent is complete if the sweep is. Once is
        enough. What cannot be told to a record that stays away lapses with this process."""
        if self._closed:
            return
        self._closed = True
        left = 0.0 if self.outage.lasts else self.settings.patience
        self._ended.extend(self._untold)
        for trial_id, trial in list(self._running.items()):
            reason = "given up" if trial.begun else NO_PLACE
            self._take_down(trial_id, _Ended(trial, Status.STOPPED, reason))
        patience = Patience(left)
        with suppress(TrackingUnreachable):
            try:
                patience.with_call(self._tell)
            finally:
                patience.with_call(self._close_parent)

    def _close_parent(self) -> None:
        if self._recorder is not None:
            try:
                self._recorder.release(self.parent.run_id)
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
        self._take_down(trial_id, _Ended(self._running[trial_id], status, reason, trace, starved))
        self.outage.hurry()
        with suppress(TrackingUnreachable):  # whoever asks for more hears of it
            self._told_all()

    def _take_down(self, trial_id: str, ended: _Ended) -> None:
        del self._running[trial_id]
        self.allowance.end(ended.trial.run.digest)
        self.tally.running = len(self._running)
        self._ended.append(ended)

    def running(self) -> Iterator[Running]:
        """The trials at work or on their way there, in the order in which they were proposed."""
        yield from list(self._running.values())

    @property
    def halted(self) -> bool:
        """Whether it was asked to stop, nobody trains any more, and the record has been told."""
        at_work = any(trial.begun for trial in self._running.values())
        return self.stopped and not at_work and not self._ended

    def _told_all(self) -> bool:
        """Whether the record knows of every trial that has ended."""
        if self._ended and not self.outage.resting:
            try:
                self._tell()
            except TrackingUnreachable as fault:
                self._missed(fault)
        return not self._ended

    def _missed(self, fault: TrackingUnreachable) -> None:
        self.outage.met(fault, idle=not self._running and not self._closed)

    def _tell(self) -> None:
        """Tell the record of trials that have ended, each until it has heard. Raises TrackingUnreachable; and
        what one of them met, when all the others have been told."""
        met: Exception | None = None
        while self._ended:
            try:
                self._close_run(self._ended[0])
            except TrackingUnreachable:
                raise
            except Exception as fault:
                met = met or fault
                self._untold.append(self._ended[0])
            self._ended.popleft()
        self.outage.over()
        if met is not None:
            raise met

    def _close_run(self, ended: _Ended) -> None:
        job, run = ended.trial.job, ended.trial.run
        later = ended.starved and self.backlog.alone is not job
        try:
            status, reason = self._released(ended)
            if later:
                status, reason = Status.STOPPED, f"{reason} It is tried again alone, after the others."
            self.tracker.end(run.run_id, status, owner=this_process(), reason=reason)
        except RunTaken as fault:  # not ours to close any more; another look at it tells what became of it
            self.say(f"{job.title}: {fault}")
            self._another_look(job)
            return
        tags = {"traceback": ended.trace} if ended.trace else {}
        tags |= {INFEASIBLE: "true"} if ended.starved and not later else {}
        if tags:
            self.tracker.tag(run.run_id, tags)
        if later:
            self.backlog.starve(job)
            self.say(f"{job.title}: {reason}")
            return
        run = self.tracker.find([run.digest])[run.digest]
        self.books.settle(job, run, ended.seconds)
        self.backlog.over(job)
        for twin in self.backlog.twins(run.digest):
            try:
                self.books.settle(twin, run, None)
            except TrackingUnreachable:
                self.backlog.put_back(twin)  # it will be found on record
        if self.tally.best is not None:
            best = Scalar(f"best/{self.objective}", self.tally.settled, self.tally.best)
            with suppress(TrackingUnreachable):  # the next one says more
                self.tracker.log(self.parent.run_id, [best])
        self.say(f"{told(job.title, run, self.objective, ended.seconds)} · {self.tally.line()}")

    def _released(self, ended: _Ended) -> tuple[Status, str]:
        """What a trial is to be closed as, once all that it has measured is on record."""
        try:
            self.recorder.release(ended.trial.run.run_id)
        except (TrackingUnreachable, RunTaken):
            raise
        except RecordError as fault:  # what it had measured last may be lost: it is measured again
            if not self._closed:
                raise
            return Status.STOPPED, str(fault)
        return ended.status, ended.reason

    def _settled_on_record(self, job: Job) -> bool:
        settled = self.books.on_record(job)
        if not settled and self._prunes(job) and (earlier := self.books.repeated(job)) is not None:
            settled = True
            self.say(f"{job.title}: pruned as trial {earlier.number} was, which is the same experiment")
        for twin in self.backlog.twins(job.spec.digest) if settled else []:
            self.backlog.put_back(twin)
        return settled

    def _another_look(self, job: Job) -> None:
        self._told.add(job.spec.digest)
        self.backlog.leave(job)

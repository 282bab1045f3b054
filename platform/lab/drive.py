"""One command's way through a sweep: what is run next, and what becomes of it. Knows nothing of who runs
it."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from lab.agenda import Agenda, Job
from lab.errors import DataChanged, LabError, RecordError, RunError, RunTaken, TrackingUnreachable
from lab.origin import origin, require_same_data
from lab.resources import Resources
from lab.settings import Settings
from lab.sweep import Search, Sweep
from lab.tally import Tally, told
from lab.tracking.lease import this_process
from lab.tracking.patience import Patience
from lab.tracking.tracker import RunRecord, Scalar, Status, Tracker, membership
from lab.trial import StoppableSink, Work

OBJECTIVE = "validation/top1"
"""what the progress of an ablation is told by"""
TAKEN_LOOK_SECONDS = 2.0
AWAY_LOOK_SECONDS = 1.0
"""between two looks whether a record that was away is back"""
INFEASIBLE = "infeasible"
"""tag of a failed run that was short of memory even with nothing else going on"""
NO_MORE: Literal["no more"] = "no more"

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
    """A trial at work. since: of the monotonic clock."""

    job: Job
    run: RunRecord
    since: float


@dataclass(frozen=True)
class _Ended:
    """A trial that the record has to be told of. starved: it was short of memory."""

    trial: Running
    status: Status
    reason: str
    trace: str
    starved: bool
    seconds: float


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
    ) -> None:
        """needed: digests that are trained to their end, whatever prunes the others."""
        self.sweep, self.agenda, self.parent = sweep, agenda, parent
        self.resources, self.settings, self.tracker, self.say = resources, settings, tracker, say
        self.needed = needed
        search = sweep if isinstance(sweep, Search) else None
        self.objective = search.objective if search else OBJECTIVE
        self.tally = Tally(agenda.total, self.objective, search.direction if search else "maximize")
        self.runs: dict[str, RunRecord] = {}
        self.stopped = False
        self._recorder: Holder | None = None
        self._ahead: list[Job] = []
        self._running: dict[str, Running] = {}
        self._ended: deque[_Ended] = deque()
        self._starved: deque[Job] = deque()
        self._alone: Job | None = None
        self._away_since: float | None = None
        self._next_try = 0.0
        self.not_begun: dict[str, str] = {}
        """title of a job -> why it could not even be begun"""
        self._twins: defaultdict[str, list[Job]] = defaultdict(list)
        self._elsewhere: list[Job] = []
        self._told: set[str] = set()
        self._next_look = 0.0
        self._closed = False
        self._recall(agenda)

    @property
    def recorder(self) -> Holder:
        if self._recorder is None:
            raise RunError("nothing can be trained before a recorder is attached.")
        return self._recorder

    def _recall(self, agenda: Agenda) -> None:
        """Count the trials that had ended before."""
        found = self.tracker.find(trial.digest for trial in agenda.ended if trial.digest)
        for ended in agenda.ended:
            if ended.digest in found:
                self._enlist(found[ended.digest], str(ended.number))
                self.runs[ended.digest] = found[ended.digest]
                self.tally.add(replace(found[ended.digest], status=Status(ended.outcome)), None)

    def require_same_data(self) -> None:
        """Raise DataChanged where a run of this sweep was made from other bytes than are prepared now."""
        specs = {spec.digest: spec for spec in self.agenda.known()}
        for digest, run in self.tracker.find(specs).items():
            require_same_data(run, specs[digest], self.settings)

    def anything_left(self) -> bool:
        """Whether a job has to be trained; those that the record has settled are counted. May be asked again
        where the record was away."""
        while (job := self._ahead.pop() if self._ahead else self._from_agenda()) is not None:
            try:
                settled = self._settled_on_record(job)
            except TrackingUnreachable:
                self._ahead.append(job)
                raise
            if not settled:
                self._ahead.append(job)
                return True
        return False

    def propose(self, trial_id: str) -> Work | Literal["no more"] | None:
        """The next work, None for "ask again", or that there is no more.

        What cannot be begun is told and passed over. While the record is away nothing is begun; raises
        TrackingUnreachable when it stays away for longer than the patience and nothing trains any more.
        """
        if not self._told_all() or time.monotonic() < self._next_try:
            return None
        while not self.stopped and self._alone is None:
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
            self._alone = None
        # What runs may come back for another try, and a search may wait for how it ends.
        later = self._elsewhere or self._starved or self._running
        return None if later and not self.stopped else NO_MORE

    def _next_job(self) -> Job | None:
        """What was short of memory comes last, and only when nothing else runs."""
        job = self._ahead.pop() if self._ahead else self._from_agenda() or self._returned()
        if job is None and self._starved and not self._running:
            job = self._alone = self._starved.popleft()
        return job

    def _begun(self, job: Job) -> RunRecord | None:
        """The run of a job to be trained now; None where that is not to be."""
        try:
            if self._settled_on_record(job):
                return None
            if any(other.run.digest == job.spec.digest for other in self._running.values()):
                self._twins[job.spec.digest].append(job)
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
            (self._ahead.append if self._alone is None else self._starved.appendleft)(job)
            self._alone = None
            raise
        except (RecordError, DataChanged):
            raise
        except LabError as fault:  # no job may sink the sweep
            self.not_begun[job.title] = str(fault)
            self.tally.failed += 1
            self.say(f"{job.title}: cannot be begun: {fault} · {self.tally.line()}")
        return None

    def _under_way(self, trial_id: str, job: Job, run: RunRecord) -> Work:
        self._away_since = None
        self._running[trial_id] = Running(job, run, time.monotonic())
        self.tally.running = len(self._running)
        pruning = isinstance(self.sweep, Search) and self.sweep.pruning is not None
        objective = self.objective if pruning else None
        spared = job.spec.digest in self.needed or not job.ranks
        return Work(
            job.spec, self.recorder.sink(run.run_id), self.resources, self.settings, objective, spared
        )

    def attach(self, recorder: Holder, concurrent: int) -> None:
        """Give what is needed to train: a recorder, and how many runs go on at a time."""
        self._recorder, self.tally.concurrent = recorder, concurrent
        recorder.hold(self.parent.run_id)

    def stop(self) -> None:
        """Propose nothing more, and ask those who train to stop."""
        if self._recorder is not None and not self.stopped:
            self.stopped = True
            self.say(
                f"stopping: {len(self._running)} runs write their checkpoints (Ctrl-C again gives them up)"
            )
            self._recorder.request_stop()

    def close(self) -> None:
        """Leave nothing open: runs given up are stopped, and the parent is complete if the sweep is. Once is
        enough. What cannot be told to a record that stays away lapses with this process."""
        if self._closed:
            return
        self._closed = True
        left = 0.0 if self._away_since is not None else self.settings.patience
        for trial_id in list(self._running):
            self.finish(trial_id, Status.STOPPED, "given up")
        with suppress(TrackingUnreachable):
            Patience(left).with_call(self._tell)
            Patience(left).with_call(self._close_parent)

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
        self.tracker.end(self.parent.run_id, Status.COMPLETE if done else Status.STOPPED)

    def finish(
        self, trial_id: str, status: Status, reason: str, trace: str = "", *, starved: bool = False
    ) -> None:
        """Close the run of a trial as what it ended with, as soon as the record can be told. starved: it was
        short of memory; it is tried once more, alone, when all others are done."""
        trial = self._running.pop(trial_id)
        self.tally.running = len(self._running)
        seconds = time.monotonic() - trial.since
        self._ended.append(_Ended(trial, status, reason, trace, starved, seconds))
        self._next_try = 0.0
        with suppress(TrackingUnreachable):  # whoever asks for more hears of it
            self._told_all()

    def running(self) -> Iterator[Running]:
        """The trials at work, in the order in which they were begun."""
        yield from list(self._running.values())

    def _told_all(self) -> bool:
        """Whether the record knows of every trial that has ended."""
        if self._ended and time.monotonic() >= self._next_try:
            try:
                self._tell()
            except TrackingUnreachable as fault:
                self._missed(fault)
        return not self._ended

    def _missed(self, fault: TrackingUnreachable) -> None:
        """Take note that the record is away. What trains goes on; raises once nothing does, and the patience
        is used up."""
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
            self.say(f"{fault} What trains goes on; nothing is begun until it answers.")
        self._next_try = now + AWAY_LOOK_SECONDS
        if now - self._away_since > self.settings.patience and not self._running and not self._closed:
            raise fault

    def _tell(self) -> None:
        """Tell the record of trials that have ended, each until it has heard. Raises TrackingUnreachable."""
        while self._ended:
            self._close_run(self._ended[0])
            self._ended.popleft()
        self._away_since = None

    def _close_run(self, ended: _Ended) -> None:
        job, run = ended.trial.job, ended.trial.run
        status, reason = ended.status, ended.reason
        try:
            self.recorder.release(run.run_id)
        except TrackingUnreachable:
            raise
        except RunTaken as fault:  # not ours to close any more; another look at it tells what became of it
            self.say(f"{job.title}: {fault}")
            self._another_look(job)
            self._alone = None if self._alone is job else self._alone
            return
        except RecordError as fault:  # what it had measured last may be lost: it is measured again
            if not self._closed:
                raise
            status, reason = Status.STOPPED, str(fault)
        later = ended.starved and self._alone is not job and not self.stopped
        if later:
            status, reason = Status.STOPPED, f"{reason} It is tried again alone, after the others."
        elif ended.starved:
            self.tracker.tag(run.run_id, {INFEASIBLE: "true"})
        if ended.trace:
            self.tracker.tag(run.run_id, {"traceback": ended.trace})
        self.tracker.end(run.run_id, status, reason=reason)
        if later:
            self._starved.append(job)
            self.say(f"{job.title}: {reason}")
            return
        run = self.tracker.find([run.digest])[run.digest]
        self._settle(job, run, ended.seconds)
        self._alone = None if self._alone is job else self._alone
        for twin in self._twins.pop(run.digest, []):
            try:
                self._settle(twin, run, None)
            except TrackingUnreachable:
                self._ahead.append(twin)  # it will be found on record
        if self.tally.best is not None:
            best = Scalar(f"best/{self.objective}", self.tally.settled, self.tally.best)
            with suppress(TrackingUnreachable):  # the next one says more
                self.tracker.log(self.parent.run_id, [best])
        self.say(f"{told(job.title, run, self.objective, ended.seconds)} · {self.tally.line()}")

    def _from_agenda(self) -> Job | None:
        job = self.agenda.next()
        self.tally.refused, self.tally.total = len(self.agenda.refused()), self.agenda.total
        return job

    def _settle(self, job: Job, run: RunRecord, seconds: float | None) -> None:
        self.agenda.settle(job, run)
        self.runs[run.digest] = run
        self.tally.add(run, seconds, ranks=job.ranks)

    def _settled_on_record(self, job: Job) -> bool:
        run = self.tracker.find([job.spec.digest]).get(job.spec.digest)
        if run is None:
            return False
        require_same_data(run, job.spec, self.settings)
        if run.status is not Status.COMPLETE:
            return False
        self._enlist(run, job.label)
        self._settle(job, run, None)
        self._ahead += self._twins.pop(run.digest, [])
        return True

    def _enlist(self, run: RunRecord, label: str) -> None:
        """Note that the run is of this sweep too, whoever made it."""
        member = membership(self.sweep.name, self.sweep.scale)
        if member not in run.tags:
            self.tracker.tag(run.run_id, {member: label})

    def _begin(self, job: Job) -> RunRecord:
        member = membership(self.sweep.name, self.sweep.scale)
        tags = origin(job.spec, self.settings) | job.tags | {member: job.label}
        name, parent = self.sweep.name, self.parent.run_id
        run = self.tracker.begin(job.spec, name=name, owner=this_process(), tags=tags, parent=parent)
        if run.status is not Status.COMPLETE:
            require_same_data(run, job.spec, self.settings)
            self.recorder.hold(run.run_id)
        return run

    def _another_look(self, job: Job) -> None:
        self._told.add(job.spec.digest)
        self._elsewhere.append(job)
        self._next_look = time.monotonic() + TAKEN_LOOK_SECONDS

    def _returned(self) -> Job | None:
        """A job that another process had, for another look at whether it still has it."""
        if not self._elsewhere or time.monotonic() < self._next_look:
            return None
        return self._elsewhere.pop(0)

"""One command's way through a sweep: what is run next, and what becomes of it. Knows nothing of who runs
it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Container
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from lab.agenda import Agenda, Job
from lab.errors import RecordError, RunError, RunTaken
from lab.origin import origin, require_same_data
from lab.resources import Resources
from lab.search.agenda import SearchAgenda
from lab.settings import Settings
from lab.sweep import Search, Sweep
from lab.tally import Tally, told
from lab.tracking.lease import this_process
from lab.tracking.tracker import RunRecord, Scalar, Status, Tracker, membership
from lab.trial import StoppableSink, Work

OBJECTIVE = "validation/top1"
"""what the progress of an ablation is told by"""
TAKEN_LOOK_SECONDS = 2.0
NO_MORE: Literal["no more"] = "no more"

Say = Callable[[str], object]


class Holder(Protocol):
    """A recorder, wherever it lives."""

    def hold(self, run_id: str) -> None: ...

    def release(self, run_id: str) -> None: ...

    def request_stop(self) -> None: ...

    def sink(self, run_id: str) -> StoppableSink: ...


@dataclass
class _Running:
    """A trial at work."""

    job: Job
    run: RunRecord
    since: float


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
        self._running: dict[str, _Running] = {}
        self._twins: defaultdict[str, list[Job]] = defaultdict(list)
        self._elsewhere: list[Job] = []
        self._told: set[str] = set()
        self._next_look = 0.0
        self._closed = False
        if isinstance(agenda, SearchAgenda):
            self._recall(agenda)

    @property
    def recorder(self) -> Holder:
        if self._recorder is None:
            raise RunError("nothing can be trained before a recorder is attached.")
        return self._recorder

    def _recall(self, agenda: SearchAgenda) -> None:
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
        """Whether a job has to be trained; those that the record has settled are counted."""
        while (job := self._from_agenda()) is not None:
            if not self._settled_on_record(job):
                self._ahead.append(job)
                return True
        return False

    def propose(self, trial_id: str) -> Work | Literal["no more"] | None:
        """The next work, None for "ask again", or that there is no more."""
        while not self.stopped:
            job = self._ahead.pop() if self._ahead else self._from_agenda() or self._returned()
            if job is None:
                break
            if self._settled_on_record(job):
                continue
            if any(other.run.digest == job.spec.digest for other in self._running.values()):
                self._twins[job.spec.digest].append(job)
                continue
            try:
                run = self._begin(job)
            except RunTaken as fault:
                if job.spec.digest not in self._told:
                    self.say(f"{job.title} waits: {fault}")
                self._told.add(job.spec.digest)
                self._elsewhere.append(job)
                self._next_look = time.monotonic() + TAKEN_LOOK_SECONDS
                continue
            self._running[trial_id] = _Running(job, run, time.monotonic())
            self.tally.running = len(self._running)
            pruning = isinstance(self.sweep, Search) and self.sweep.pruning is not None
            objective = self.objective if pruning else None
            spared = job.spec.digest in self.needed or not job.ranks
            return Work(
                job.spec, self.recorder.sink(run.run_id), self.resources, self.settings, objective, spared
            )
        later = self._elsewhere or (self._running and self.agenda.waits)
        return None if later and not self.stopped else NO_MORE

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
        enough."""
        if self._closed:
            return
        self._closed = True
        for trial_id in list(self._running):
            self.finish(trial_id, Status.STOPPED, "given up")
        if self._recorder is not None:
            with suppress(RecordError):  # the parent is closed even if the recorder is gone
                self._recorder.release(self.parent.run_id)
        if self.tally.best_run:
            self.tracker.tag(self.parent.run_id, {"best": self.tally.best_run})
        # What failed in a search is a result; in an ablation it is a gap.
        gaps = 0 if isinstance(self.sweep, Search) else self.tally.failed
        done = self.tally.settled - gaps >= self.tally.total
        self.tracker.end(self.parent.run_id, Status.COMPLETE if done else Status.STOPPED)

    def finish(self, trial_id: str, status: Status, reason: str, trace: str = "") -> None:
        """Close the run of a trial as what it ended with."""
        ended = self._running.pop(trial_id)
        self.tally.running = len(self._running)
        self.recorder.release(ended.run.run_id)
        if trace:
            self.tracker.tag(ended.run.run_id, {"traceback": trace})
        self.tracker.end(ended.run.run_id, status, reason=reason)
        run = self.tracker.find([ended.run.digest])[ended.run.digest]
        seconds = time.monotonic() - ended.since
        self._settle(ended.job, run, seconds)
        for twin in self._twins.pop(run.digest, []):
            self._settle(twin, run, None)
        if self.tally.best is not None:
            best = Scalar(f"best/{self.objective}", self.tally.settled, self.tally.best)
            self.tracker.log(self.parent.run_id, [best])
        self.say(f"{told(ended.job.title, run, self.objective, seconds)} · {self.tally.line()}")

    def _from_agenda(self) -> Job | None:
        job = self.agenda.next()
        self.tally.refused, self.tally.total = len(self.agenda.refused()), self.agenda.total
        return job

    def _settle(self, job: Job, run: RunRecord, seconds: float | None) -> None:
        self.runs[run.digest] = run
        self.tally.add(run, seconds, ranks=job.ranks)
        self.agenda.settle(job, run)

    def _settled_on_record(self, job: Job) -> bool:
        run = self.tracker.find([job.spec.digest]).get(job.spec.digest)
        if run is None:
            return False
        require_same_data(run, job.spec, self.settings)
        if run.status is not Status.COMPLETE:
            return False
        self._enlist(run, job.label)
        self._settle(job, run, None)
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
        self.recorder.hold(run.run_id)
        return run

    def _returned(self) -> Job | None:
        """A job that another process had, for another look at whether it still has it."""
        if not self._elsewhere or time.monotonic() < self._next_look:
            return None
        return self._elsewhere.pop(0)

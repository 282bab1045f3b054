"""Which job of a sweep comes next: what was put back, then what can be afforded by now, what the agenda has,
what another process had, and at last, with nothing beside it, what was short of memory."""

from __future__ import annotations

import time
from collections import defaultdict, deque

from lab.agenda import Agenda, Job
from lab.within import Allowance

TAKEN_LOOK_SECONDS = 2.0


class Backlog:
    """The jobs that no trial is at work on. alone: the one that has, or is about to have, the machine to
    itself."""

    def __init__(self, agenda: Agenda, allowance: Allowance) -> None:
        self.agenda, self.allowance = agenda, allowance
        self.alone: Job | None = None
        self._ahead: list[Job] = []
        self._twins: defaultdict[str, list[Job]] = defaultdict(list)
        self._elsewhere: list[Job] = []
        self._looked: set[str] = set()
        self._starved: deque[Job] = deque()
        self._next_look = 0.0

    def __bool__(self) -> bool:
        """Whether a job may come again for which there was no use just now."""
        return bool(self._elsewhere or self._starved)

    def next(self, *, idle: bool) -> Job | None:
        """The next job, None where there is none now. idle: whether nothing is at work."""
        job = self._ahead.pop() if self._ahead else self.allowance.next() or self._new() or self._returned()
        if job is None and self._starved and idle:
            job = self.alone = self._starved.popleft()
        return job

    def put_back(self, job: Job) -> None:
        """It could not be looked at: it is next."""
        if self.alone is job:
            self.alone = None
            self._starved.appendleft(job)
        else:
            self._ahead.append(job)

    def leave(self, job: Job) -> None:
        """Another process has it: it comes again, for another look at whether that is still so."""
        self.over(job)
        self._elsewhere.append(job)
        self._looked.add(job.spec.digest)
        self._next_look = time.monotonic() + TAKEN_LOOK_SECONDS

    def looked_at(self, job: Job) -> bool:
        """Whether another process had it before."""
        return job.spec.digest in self._looked

    def starve(self, job: Job) -> None:
        """It was short of memory: it comes again when nothing else is left, and nothing comes beside it."""
        self._starved.append(job)

    def over(self, job: Job) -> None:
        """Others may be at work beside what comes next."""
        self.alone = None if self.alone is job else self.alone

    def pair(self, job: Job) -> None:
        """Its experiment is at work for another job, the end of which is its own too."""
        self._twins[job.spec.digest].append(job)

    def twins(self, digest: str) -> list[Job]:
        """The jobs that waited for the end of an experiment; they wait no more."""
        return self._twins.pop(digest, [])

    def _new(self) -> Job | None:
        return self.agenda.next() if self.allowance.lets_others_by else None

    def _returned(self) -> Job | None:
        if not self._elsewhere or time.monotonic() < self._next_look:
            return None
        return self._elsewhere.pop(0)

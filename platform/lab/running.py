"""A trial on its way: from the moment it is proposed until the record knows how it ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from lab.agenda import Job
from lab.tracking.tracker import RunRecord, Status

NO_PLACE = "stopped before it had a place"
"""why a run ended of which nothing was trained"""


@dataclass(frozen=True)
class Running:
    """A trial at work, or on its way there. since: when it began, else when it was proposed, of the monotonic
    clock."""

    job: Job
    run: RunRecord
    since: float
    begun: bool = False


@dataclass(frozen=True)
class Ended:
    """A trial that the record has to be told of. starved: it was short of memory · at: of the same clock"""

    trial: Running
    status: Status
    reason: str
    trace: str = ""
    starved: bool = False
    at: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return self.at - self.trial.since

"""Waiting for a record that is away, and for how long."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from lab.errors import TrackingUnreachable
from lab.settings import PATIENCE_SECONDS
from lab.tracking.tracker import Tracker

PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 5.0
REPEATABLE = (
    "attach", "beat", "begin", "end", "find", "group", "histories", "history", "log", "parent", "reconcile",
    "runs", "tag",
)  # fmt: skip
"""what a tracker may be told twice: a process that begins a run again, of which it has heard nothing, goes
on from what had arrived of that"""

T = TypeVar("T")
log = logging.getLogger(__name__)


class Patience:
    """Shared by those who wait for the same record: once it was away for so many seconds, nobody waits any
    more, until it has answered again."""

    def __init__(self, seconds: float = PATIENCE_SECONDS) -> None:
        self.seconds = seconds
        self._away_since: float | None = None

    def with_call(self, call: Callable[[], T]) -> T:
        """What `call` returns, which is repeated while the record is away. Raises TrackingUnreachable."""
        pause = PAUSE_SECONDS
        while True:
            try:
                answer = call()
            except TrackingUnreachable as fault:
                now = time.monotonic()
                if self._away_since is None:
                    self._away_since = now
                    log.warning("%s It is waited for, up to %g s.", fault, self.seconds)
                if now - self._away_since > self.seconds:
                    raise
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                self._away_since = None
                return answer


def patient(tracker: Tracker, seconds: float) -> Tracker:
    """`tracker`, but what can be told twice is told again while the record is away, for so many seconds."""
    return cast(Tracker, _Patient(tracker, Patience(seconds)))


class _Patient:
    def __init__(self, tracker: Tracker, patience: Patience) -> None:
        self._tracker, self._patience = tracker, patience

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._tracker, name)
        if name not in REPEATABLE:
            return member
        return lambda *given, **named: self._patience.with_call(partial(member, *given, **named))

"""A record that is away, as a sweep lives through it: what trains goes on, and nothing is begun until the
record answers."""

from __future__ import annotations

import time
from collections.abc import Callable

from lab.errors import TrackingUnreachable

AWAY_LOOK_SECONDS = 1.0
"""between two looks whether a record that was away is back"""


class Outage:
    """Since when the record has been away, and when it is worth asking again. patience: seconds that it may
    be away with nothing at work."""

    def __init__(self, patience: float, say: Callable[[str], object]) -> None:
        self.patience, self.say = patience, say
        self._since: float | None = None
        self._next_try = 0.0

    @property
    def lasts(self) -> bool:
        return self._since is not None

    @property
    def resting(self) -> bool:
        """Whether it is too early to ask again."""
        return time.monotonic() < self._next_try

    def met(self, fault: TrackingUnreachable, *, idle: bool) -> None:
        """Take note that the record did not answer. Raises the fault once nothing is at work and the patience
        is used up."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
            self.say(f"{fault} What trains goes on; nothing is begun until it answers.")
        self._next_try = now + AWAY_LOOK_SECONDS
        if idle and now - self._since > self.patience:
            raise fault

    def hurry(self) -> None:
        """There is something to tell: ask at once."""
        self._next_try = 0.0

    def over(self) -> None:
        """The record has answered."""
        self._since = None

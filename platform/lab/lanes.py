"""The places where a sweep's trials run one after the other, of which some may be broken: where a process
dies again and again without a trial, the next one is started later and later, and at last none any more."""

from __future__ import annotations

from collections import Counter
from time import monotonic

IDLE_CRASHES = 10
"""times that the processes of one lane may die without a trial, one after the other"""
FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 0.5, 30.0
"""before the next process of such a lane is started, doubled each time"""


class Lanes:
    """So many lanes, each known by a name once something has become of it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._crashes = Counter[str]()
        """of a lane, since it last had a trial"""
        self._due: dict[str, float] = {}
        self._given_up: dict[str, str] = {}

    @property
    def left(self) -> int:
        """How many may still train."""
        return self.number - len(self._given_up)

    @property
    def troubled(self) -> bool:
        """Whether one of those that are left died when it had last been started."""
        return any(lane not in self._given_up for lane in self._crashes)

    def at_work(self, lane: str) -> None:
        """It has a trial."""
        self._crashes.pop(lane, None)

    def died(self, lane: str) -> int:
        """It died without a trial: how often it has by now, one after the other."""
        self._crashes[lane] += 1
        rest = min(FIRST_REST_SECONDS * 2 ** (self._crashes[lane] - 1), LONGEST_REST_SECONDS)
        self._due[lane] = monotonic() + rest
        return self._crashes[lane]

    def rests(self, lane: str) -> bool:
        """Whether it is too early to start its next process."""
        return monotonic() < self._due.get(lane, 0.0)

    def give_up(self, lane: str, reason: str) -> str:
        """Start none any more; in words."""
        self._given_up[lane] = reason
        goes_on = f"it goes on with {self.left} of {self.number}" if self.left else "none is left"
        return (
            f"a place where trials run is given up: its process died {self._crashes[lane]} times in a row "
            f"without taking one, the last time because {reason}; {goes_on}"
        )

    def given_up(self, lane: str) -> bool:
        return lane in self._given_up

"""Where the processes of a sweep fetch their trials and leave what became of them.

A plain class, so that it can be an actor of a cluster. A *lane* is one place where trials run one after the
other; its process may die and be started again, elsewhere too. Behind a cut cable it may also live on, and
come back when it has long been replaced: each process is a *life* of its lane, and one that was lost gets
nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from threading import Condition
from time import monotonic
from typing import Any, Literal, NamedTuple

FETCH_SECONDS = 5.0
"""how long a lane waits at the desk before it asks again"""
CLOSED: Literal["closed"] = "closed"


class Slip(NamedTuple):
    """A trial on its way: its id, and what is to be done, wrapped up: the desk need not know a model."""

    trial: str
    work: bytes


class Outcome(NamedTuple):
    """What a trial ended with, as `trial.run` tells it."""

    trial: str
    result: dict[str, Any]


class Begun(NamedTuple):
    """A trial that a lane has fetched, and how many seconds ago."""

    trial: str
    lane: str
    ago: float


class Turn(NamedTuple):
    """What has happened at the desk since it was last asked."""

    begun: list[Begun]
    done: list[Outcome]


class Desk:
    """Any number of threads may call. Every trial that was put down is fetched by one lane; if that is lost
    it may be put down again."""

    def __init__(self) -> None:
        self._waiting: deque[Slip] = deque()
        self._at: dict[str, str] = {}
        """lane -> its trial"""
        self._lives: dict[str, str] = {}
        """lane -> the process that speaks for it"""
        self._over: set[str] = set()
        self._begun: list[tuple[str, str, float]] = []
        self._done: list[Outcome] = []
        self._closed = False
        self._changed = Condition()

    def put(self, slips: Sequence[Slip]) -> Turn:
        """Put trials down, and hear what has become of others."""
        with self._changed:
            self._waiting += slips
            now = monotonic()
            turn = Turn([Begun(trial, lane, now - at) for trial, lane, at in self._begun], self._done)
            self._begun, self._done = [], []
            if slips:
                self._changed.notify_all()
            return turn

    def close(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def withdraw(self) -> list[str]:
        """Close, and take back what nobody has fetched: which trials those are."""
        with self._changed:
            left = [slip.trial for slip in self._waiting]
            self._waiting.clear()
            self.close()
            return left

    def fetch(
        self, lane: str, outcome: Outcome | None = None, patience: float = FETCH_SECONDS, *, life: str = ""
    ) -> Slip | Literal["closed"] | None:
        """Leave an outcome and take the next trial: None where there is none for so many seconds. The outcome
        of a trial with which the lane was taken for lost is forgotten: somebody else has it now.

        life: of the process that asks, "" for one that cannot come back. For one that was lost, or that
        another of its lane has followed, the desk is closed."""
        with self._changed:
            if not self._lives_on(lane, life):
                return CLOSED
            if outcome is not None and self._at.pop(lane, None) == outcome.trial:
                self._done.append(outcome)
            self._changed.wait_for(lambda: self._waiting or self._closed or life in self._over, patience)
            if life in self._over:
                return CLOSED
            if not self._waiting:
                return CLOSED if self._closed else None
            slip = self._waiting.popleft()
            self._at[lane] = slip.trial
            self._begun.append((slip.trial, lane, monotonic()))
            return slip

    def lose(self, lane: str) -> str | None:
        """The trial that a lane had when its process died."""
        with self._changed:
            if (life := self._lives.pop(lane, "")) != "":
                self._over.add(life)
                self._changed.notify_all()
            return self._at.pop(lane, None)

    def _lives_on(self, lane: str, life: str) -> bool:
        """Whether that process may have trials; the first question of a new one ends the one before."""
        if life == "":
            return True
        if life not in self._over and (before := self._lives.get(lane, life)) != life:
            self._over.add(before)
        if life not in self._over:
            self._lives[lane] = life
        return life not in self._over

"""How often the process of a trial has died since the trial last got on."""

from __future__ import annotations

from collections import Counter

from lab.errors import CheckpointError
from lab.train.checkpoint import CheckpointStore
from lab.trial import Work

CRASHES = 2
"""times that a trial is started again, from its checkpoint, without a new one in between"""


class Crashes:
    """Of all trials of a sweep. Where machines come and go, a long trial loses many processes and still comes
    to its end; one that dies at the same place again and again does not."""

    def __init__(self) -> None:
        self._counts = Counter[str]()
        self._saved: dict[str, int] = {}
        """digest -> its newest checkpoint when its process died last"""

    def too_many(self, work: Work) -> bool:
        """Take one more into account: whether the trial is not to be started again."""
        digest, saved = work.spec.digest, newest(work)
        if saved > self._saved.get(digest, saved):
            self._counts[digest] = 0
        self._saved[digest] = saved
        self._counts[digest] += 1
        return self._counts[digest] > CRASHES


def newest(work: Work) -> int:
    """The step of a trial's newest checkpoint, damaged or not; -1 for none, or where the storage is away."""
    try:
        return max(CheckpointStore(work.settings.storage, work.spec.digest).steps(), default=-1)
    except CheckpointError:
        return -1

"""Where a training process sends what it measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lab.tracking.tracker import Scalar


class Sink(Protocol):
    """Takes scalars without making the caller wait; `flush` returns once all of them are on record."""

    def log(self, scalars: Sequence[Scalar]) -> None: ...

    def flush(self) -> None: ...

"""Where a training process sends what it measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from lab.tracking.tracker import Scalar


class Sink(Protocol):
    """Takes scalars without making the caller wait; `flush` returns once all of them are on record. `flush`
    may be called in another thread than the rest."""

    def log(self, scalars: Sequence[Scalar]) -> None: ...

    def flush(self) -> None: ...

    def keep(self, file: str, text: str, tags: Mapping[str, str]) -> None:
        """Put a text file and tags with the run, in place of what had their names, and wait for it."""

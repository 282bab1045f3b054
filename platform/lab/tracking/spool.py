"""What waits on disk, beside the checkpoints, for a record that is away.

    STORAGE/spool/RUN/000000/waiting.jsonl     lines of [metric, step, value], or of {file, text, tags}

Pieces are numbered in the order of what was measured, and each is there whole or not at all. Whoever holds
the run delivers them, this process or the one that continues it; what is delivered twice is on record once,
so that nothing is lost where the deliverer dies before the pieces are deleted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lab.errors import RecordError
from lab.storage import Bundles, bundles, within
from lab.tracking.tracker import Scalar

FOLDER, FILE = "spool", "waiting.jsonl"


class Keepsake(NamedTuple):
    """A text file to be kept with a run, and the tags that go with it."""

    file: str
    text: str
    tags: Mapping[str, str]


class Spool:
    """storage: as of checkpoints. Raises RecordError where that does not answer either."""

    def __init__(self, storage: str) -> None:
        self.storage = storage

    def add(self, run_id: str, scalars: Sequence[Scalar], keepsakes: Sequence[Keepsake] = ()) -> None:
        """Put these behind those that are there."""
        lines = [*map(json.dumps, scalars), *(json.dumps(kept._asdict()) for kept in keepsakes)]
        text = "".join(f"{line}\n" for line in lines)
        try:
            place = self._of(run_id)
            place.sweep()
            number = max(map(int, place.sizes()), default=-1) + 1
            place.write(f"{number:06d}", {FILE: [text.encode()]})
        except OSError as fault:
            raise RecordError(
                f"what was measured cannot be kept under {self.storage} ({fault}): make room there or set "
                "LAB_STORAGE."
            ) from None

    def holds(self, run_id: str) -> bool:
        """Whether anything waits for a run."""
        return bool(self._names(run_id))

    def waiting(self, run_id: str) -> tuple[list[Scalar], list[Keepsake]]:
        """All of a run, in the order in which it was put."""
        try:
            texts = [self._of(run_id).read(name, FILE).decode() for name in self._names(run_id)]
        except OSError as fault:
            raise RecordError(f"what waits under {self.storage} cannot be read ({fault}).") from None
        lines = [json.loads(line) for text in texts for line in text.splitlines()]
        return (
            [Scalar(*line) for line in lines if isinstance(line, list)],
            [Keepsake(**line) for line in lines if isinstance(line, dict)],
        )

    def clear(self, run_id: str) -> None:
        """Forget what was delivered."""
        try:
            for name in self._names(run_id):
                self._of(run_id).delete(name)
        except OSError as fault:
            raise RecordError(f"what waited under {self.storage} cannot be deleted ({fault}).") from None

    def _names(self, run_id: str) -> list[str]:
        try:
            return sorted(self._of(run_id).sizes())
        except OSError as fault:
            raise RecordError(f"what waits under {self.storage} cannot be listed ({fault}).") from None

    def _of(self, run_id: str) -> Bundles:
        return bundles(within(self.storage, FOLDER), run_id, seal=FILE)

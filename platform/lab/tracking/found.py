"""A run as the tracker's client gives it, with who holds it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from lab.tracking import layout
from lab.tracking.lease import expired
from lab.tracking.tracker import Lease, RunRecord


class Found(NamedTuple):
    """A run as it was read, with who holds it."""

    record: RunRecord
    lease: Lease
    attempts: int
    claimed: float
    """when the last attempt was"""

    def worked(self) -> dict[str, str]:
        """The tag of what an attempt under way took: to its last sign of life where its owner is dead."""
        end = self.lease.beat if expired(self.lease) else time.time()
        return layout.worked(self.record.attempts, max(0.0, end - (self.record.since or end)))


def found(run: Any, beats: Mapping[str, float] = layout.NO_BEATS) -> Found:
    """run: an `mlflow.entities.Run` · beats: owner -> its last sign of life."""
    info, data = run.info, run.data
    times = (info.start_time, info.end_time)
    held = {"tags": data.tags, "params": data.params, "metrics": data.metrics}
    record = layout.record_of(info.run_id, word=info.status, milliseconds=times, **held)
    attempts, claimed = layout.attempts(data.params), layout.claimed_at(data.params)
    return Found(record, layout.lease_of(data.tags, data.params, beats), attempts, claimed)

"""Runs on record that can be no result: of code that no commit holds, or of data that are not there any more.
They are set aside, with their checkpoints, so that what they measured can be measured again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from lab.errors import DataChanged
from lab.origin import require_same_data
from lab.settings import Settings
from lab.spec import ExperimentSpec
from lab.tracking.provenance import distrusted
from lab.tracking.tracker import RunRecord, Tracker


def unfit(specs: Iterable[ExperimentSpec], tracker: Tracker, settings: Settings) -> dict[str, str]:
    """Digest -> why its run can be no result, of those experiments whose run is like that. Raises
    MissingDataset."""
    asked = {spec.digest: spec for spec in specs}
    reasons = {}
    for digest, run in sorted(tracker.find(asked).items()):
        why = distrusted(run.tags)
        try:
            require_same_data(run, asked[digest], settings)
        except DataChanged as fault:
            why = why or str(fault).partition(":")[0]
        if why:
            reasons[digest] = why
    return reasons


def set_aside(reasons: Mapping[str, str], tracker: Tracker, settings: Settings) -> None:
    """Take runs out of the record, with the reason, and their checkpoints away. Raises RunTaken where one is
    under way.

    The checkpoints first: whoever dies in between leaves a run that the same command sets aside, and never
    weights of unknown making that a clean run would begin from.
    """
    from lab.train.checkpoint import CheckpointStore

    for digest, run in tracker.find(reasons).items():
        tracker.require_free(run.run_id)
        CheckpointStore(settings.storage, digest).discard()
        tracker.retire(run.run_id, reasons[digest])


class Without:
    """A record as it would be read without some of its runs."""

    def __init__(self, tracker: Tracker, digests: Collection[str]) -> None:
        self._tracker, self._digests = tracker, set(digests)

    def find(self, digests: Iterable[str]) -> dict[str, RunRecord]:
        return self._tracker.find(set(digests) - self._digests)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tracker, name)

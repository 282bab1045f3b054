"""What counts when something was recorded more than once: one value per (metric, step), one run per digest,
one tag per name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from lab.tracking.tracker import RunRecord, Scalar, Status

DIRTY = "dirty"
PER_ATTEMPT = ("commit", DIRTY, "fingerprint", "mlflow.source.git.commit")
"""tags that say what an attempt at a run was made with"""
LAPSED = ("reason", "traceback")
"""tags that speak of how the last attempt ended"""


class Seen:
    """The (metric, step) pairs of one run that are on record. The first value stands: a step that is trained
    again after a restart is the same step."""

    def __init__(self, pairs: Iterable[tuple[str, int]] = ()) -> None:
        self._steps: defaultdict[str, set[int]] = defaultdict(set)
        for metric, step in pairs:
            self._steps[metric].add(step)

    def admit(self, scalars: Sequence[Scalar]) -> list[Scalar]:
        """Those scalars whose pair is new, in order; they count as seen from now on."""
        new = []
        for scalar in scalars:
            if scalar.step not in self._steps[scalar.name]:
                self._steps[scalar.name].add(scalar.step)
                new.append(scalar)
        return new


def standing(record: RunRecord) -> tuple[bool, float, str]:
    """Sort key of the runs of one digest: complete before unfinished, first before later."""
    return record.status is not Status.COMPLETE, record.started, record.run_id


def by_digest(records: Iterable[RunRecord]) -> dict[str, RunRecord]:
    """Digest -> the run that stands for it."""
    chosen: dict[str, RunRecord] = {}
    for record in sorted(records, key=standing):
        chosen.setdefault(record.digest, record)
    return chosen


def continued(known: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """What of the tags given to a new attempt is to be written into a run that has `known` ones. What was
    ever made with dirty code, or with code nobody knows, is not clean again."""
    tags = {name: value for name, value in given.items() if name in PER_ATTEMPT or name not in known}
    before = known.get(DIRTY, "false")
    if before != "false" and tags.get(DIRTY) != "true":
        tags[DIRTY] = before
    return tags


def matches(tags: Mapping[str, str], wanted: Mapping[str, str | None] | None) -> bool:
    """True when every wanted tag is there with its value, or with any where that is None."""
    return all(name in tags and value in (None, tags[name]) for name, value in (wanted or {}).items())

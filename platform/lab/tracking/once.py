"""What counts when something was recorded more than once: one value per (metric, step), one run per digest,
one tag per name."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from lab.tracking.tracker import RunRecord, Scalar, Status

DIRTY = "dirty"
PACE = "pace/"
"""how metrics begin that speak of the machine and not of the experiment"""
PER_ATTEMPT = ("commit", DIRTY, "fingerprint", "mlflow.source.git.commit")
"""tags that say what an attempt at a run was made with"""
LAPSED = ("reason", "traceback")
"""tags that speak of how the last attempt ended"""


class Seen:
    """What is on record of one run. A step that is trained again after a restart mostly has the same value,
    and nothing is written; where it has another one, on another number of workers, that supersedes what lay
    beyond the restored step: the weights that are kept come from it. Of its pace the first value stands."""

    def __init__(self, values: Iterable[Scalar] = ()) -> None:
        self._values: defaultdict[str, dict[int, float]] = defaultdict(dict)
        self.admit(list(values))

    def admit(self, scalars: Sequence[Scalar]) -> list[Scalar]:
        """Those scalars that say something new, one for each metric and step; they count as seen from now
        on."""
        new = dict[tuple[str, int], Scalar]()
        for scalar in scalars:
            known = self._values[scalar.name]
            stands = scalar.name.startswith(PACE) or _same(known.get(scalar.step), scalar.value)
            if scalar.step in known and stands:
                continue
            known[scalar.step] = scalar.value
            new[scalar.name, scalar.step] = scalar
        return list(new.values())


def _same(one: float | None, other: float) -> bool:
    return one == other or (one is not None and math.isnan(one) and math.isnan(other))


def standing(record: RunRecord) -> tuple[bool, float, str]:
    """Sort key of the runs of one digest: complete before unfinished, first before later."""
    return record.status is not Status.COMPLETE, record.started, record.run_id


def may_end(known: RunRecord, status: Status, holder: str, owner: str) -> bool:
    """Whether `owner` may close a run as `status` that `holder` took last: while it is under way, or again in
    the way in which it has been closed."""
    return holder == owner and known.status in {Status.RUNNING, status}


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

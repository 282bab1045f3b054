"""The one lease of each owner, in a tag of MLflow's experiment: a run's claim names its owner, and all that
an owner holds lives as long as its lease. So renewing costs the same for one run and for thousands.

Whoever takes a run from an owner that fell silent leaves a mark first. An owner need not look at its runs
while it finds no mark and was never silent for long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from lab.errors import RecordError
from lab.tracking import layout
from lab.tracking.tracker import LEASE_SECONDS

KEPT_SECONDS = 24 * 3600.0
"""how long after its last sign of life an owner's lease is kept"""


class Leases:
    """client: of the tracker, with its faults told as ours. Any number of threads may call."""

    def __init__(self, client: Any, experiment_id: str) -> None:
        self._client, self._experiment_id = client, experiment_id
        self._renewed: dict[str, float] = {}
        """owner -> when this process last renewed its lease and knew what it held"""

    def renew(self, owner: str, lost: Callable[[], set[str]]) -> set[str]:
        """Say that an owner lives. Returns what `lost` says, which is asked only where anything may have been
        taken: where there is a mark, and where this is the first sign of life after a long silence."""
        now = time.time()
        self._set(layout.lease(owner), layout.claimed(owner, now))
        silent = now - self.renewed(owner) > LEASE_SECONDS
        gone = lost() if silent or layout.loss(owner) in self._tags() else set()
        self._renewed[owner] = now  # not before: a call that got no answer may have missed a loss
        return gone

    def renewed(self, owner: str) -> float:
        """When this process last renewed the lease of an owner, in seconds since the epoch."""
        return self._renewed.get(owner, 0.0)

    def beats(self) -> Mapping[str, float]:
        """Owner -> its last sign of life, as it is on record."""
        return layout.beats(self._tags())

    def mark(self, owners: Collection[str]) -> None:
        """To be called before runs are taken from these owners."""
        marked = self._tags() if owners else {}
        for owner in owners:
            if layout.loss(owner) not in marked:
                self._set(layout.loss(owner), owner)

    def forget(self) -> None:
        """Remove the leases of owners who were silent for very long, when nothing of theirs is open."""
        now, tags = time.time(), self._tags()
        for owner, beat in layout.beats(tags).items():
            for key in (layout.lease(owner), layout.loss(owner)) if now - beat > KEPT_SECONDS else ():
                if key in tags:
                    with suppress(RecordError):  # another process was first, or the next one will be
                        self._client.delete_experiment_tag(self._experiment_id, key)

    def _set(self, key: str, value: str) -> None:
        self._client.set_experiment_tag(self._experiment_id, key, value)

    def _tags(self) -> Mapping[str, str]:
        tags: Mapping[str, str] = self._client.get_experiment(self._experiment_id).tags
        return tags

"""The record of runs: one run per digest, whatever dies.

`Tracker` is the seam; `memory` and `mlflow` implement it and pass the same contract suite.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from lab.spec import ExperimentSpec


class Status(StrEnum):
    """Where a run stands. Only `complete` counts as a result."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    """stopped by a scheduler before its end; may be continued from its checkpoint"""
    FAILED = "failed"
    STOPPED = "stopped"
    """ended by a person, a signal or a dead process; the same command continues it"""


class Scalar(NamedTuple):
    """One value of a metric. There is one per (run, metric, step)."""

    name: str
    step: int
    value: float


@dataclass(frozen=True)
class Lease:
    """Who works on a run; an owner has one lease for all that it has claimed. Expired when its owner is dead,
    or cannot be looked at and has been silent for longer than `LEASE_SECONDS`."""

    owner: str
    """`place:pid:started`, started being the process's start time, since pids come again; see `lease.here`"""
    beat: float
    """seconds since the epoch of the last sign of life"""


LEASE_SECONDS = 60.0
MEMBER = "sweep."


def membership(sweep: str, scale: str) -> str:
    """The tag of every run that a sweep has made or found done: the label of its case, or the number of its
    trial. A run may be of several sweeps, and of none."""
    return f"{MEMBER}{sweep}.{scale}"


@dataclass(frozen=True)
class RunRecord:
    """An immutable summary of a run, as tables read it."""

    run_id: str
    digest: str
    name: str
    status: Status
    seed: int
    spec: str
    """canonical JSON"""
    metrics: Mapping[str, float]
    """metric -> last value"""
    tags: Mapping[str, str] = field(default_factory=dict)
    """what was given to `begin` and `tag`, and `reason` for an end that has one"""
    parent: str | None = None
    attempts: int = 1
    started: float = 0.0
    ended: float | None = None
    worked: float = 0.0
    """seconds that the attempts took which have ended"""
    since: float | None = None
    """when the attempt began that is under way"""

    @property
    def sweeps(self) -> set[str]:
        """The sweeps that made the run or found it done, at whatever scale."""
        return {tag[len(MEMBER) :].rpartition(".")[0] for tag in self.tags if tag.startswith(MEMBER)}

    @property
    def seconds(self) -> float:
        """Time worked, the attempt under way included; not the time between attempts."""
        return self.worked + (time.time() - self.since if self.since is not None else 0.0)


class Tracker(Protocol):
    """Reads and writes the record. Raises TrackingUnreachable when it is away."""

    def begin(
        self,
        spec: ExperimentSpec,
        *,
        name: str,
        owner: str,
        tags: Mapping[str, str],
        parent: str | None = None,
    ) -> RunRecord:
        """Take the one run of `spec.digest`: create it, or continue an unfinished one (attempts + 1) under a
        new lease.

        A continued run takes over those `tags` and the `parent` that it has none of, and always those of
        `once.PER_ATTEMPT`. A complete run is returned as it is. Raises RunTaken while another live owner
        holds it.
        """

    def beat(self, run_ids: Iterable[str], owner: str) -> set[str]:
        """Renew the one lease of `owner`, under which it holds all its runs, and say which of `run_ids` it no
        longer does: those are not its to write any more."""

    def log(self, run_id: str, scalars: Sequence[Scalar]) -> None:
        """Add values. A (metric, step) that is already there is left as it is."""

    def forget(self, run_id: str) -> None:
        """Nothing more is to be logged in a run: what is remembered of it only for that may go."""

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None: ...

    def attach(self, run_id: str, path: Path, folder: str = "") -> None:
        """Keep a copy of a file with the run."""

    def text(self, run_id: str, file: str) -> str | None:
        """What a text file that was kept with the run says, `folder/name`; None where there is none."""

    def end(self, run_id: str, status: Status, *, owner: str | None = None, reason: str = "") -> None:
        """Close the run and its lease. Without a reason, that of an earlier end and its traceback are
        forgotten.

        owner: who closes it, None for whoever holds it. Raises RunTaken where another process has taken the
        run since, or has closed it otherwise; to close it again in the same way changes nothing.
        """

    def require_free(self, run_id: str) -> None:
        """Raise RunTaken while somebody alive works on a run."""

    def retire(self, run_id: str, reason: str) -> None:
        """Set a run aside: from now on its digest has none and may be begun anew. What was recorded stays in
        the tracker's bin, with the reason. Raises RunTaken while somebody alive works on it."""

    def group(self, name: str, *, kind: str, scale: str, owner: str) -> RunRecord:
        """Take the one parent run of a sweep, created when new, under a lease until `end`; it has no digest.

        A parent that is complete is taken again, since a sweep may have grown. Raises RunTaken while another
        live owner holds it.
        """

    def parent(self, name: str, *, kind: str, scale: str) -> RunRecord | None:
        """The parent run of a sweep, if there is one."""

    def find(self, digests: Iterable[str]) -> dict[str, RunRecord]:
        """Digest -> its run, complete before unfinished, first before later. Digests without a run are left
        out."""

    def runs(
        self, *, parent: str | None = None, tags: Mapping[str, str | None] | None = None
    ) -> list[RunRecord]:
        """Runs of experiments (parents not included), oldest first. tags: name -> value, None for any."""

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        """(step, value) in order of step, one per step."""

    def histories(self, run_ids: Collection[str]) -> dict[str, dict[str, list[tuple[int, float]]]]:
        """Run -> metric -> its history, of all these runs at once. A run that measured nothing may be left
        out."""

    def reconcile(self) -> list[RunRecord]:
        """Close as STOPPED every run whose lease has expired, and say which those were."""

    def summary(self) -> Mapping[str, Any]:
        """What this record is, for people: address, experiment, how to open it."""

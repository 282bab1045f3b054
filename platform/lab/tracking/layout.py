"""How a run lies in tags and parameters of a general-purpose tracker, and how it is read back. Pure
functions.

Tags can be overwritten, parameters never: so an attempt at a run is *claimed* by writing the parameter
`lab.attempt.N`. Of two processes that try, one succeeds, whatever server or database is behind it.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

from lab import codec
from lab.spec import ExperimentSpec
from lab.tracking import once
from lab.tracking.lease import expired
from lab.tracking.tracker import Lease, RunRecord, Status

OWN = "lab."
DIGEST, STATUS, OWNER, BEAT, ATTEMPTS, NAME, SEED, SPEC, GROUP = (
    OWN + name for name in ("digest", "status", "owner", "beat", "attempts", "name", "seed", "spec", "group")
)
PARENT = "mlflow.parentRunId"
RETIRED = OWN + "retired"
"""why a run was set aside that is in MLflow's bin"""
VOID = "void"
"""what is written in the first claim of a run that must not be: another one of its digest was first"""
NO_BEATS: Mapping[str, float] = MappingProxyType({})
TEXT = 4000
"""characters per tag or parameter that every backend takes"""
_INTERNAL = re.compile(r"lab\.(digest|status|owner|beat|attempts|name|seed|group|spec(\.\d+)?|seconds\.\d+)$")

Phase = Literal["RUNNING", "FINISHED", "FAILED", "KILLED", "SCHEDULED"]


def phase(status: Status) -> Phase:
    """The word of the tracker for a status; it alone decides whether a run is complete."""
    if status is Status.COMPLETE:
        return "FINISHED"
    if status is Status.FAILED:
        return "FAILED"
    return "RUNNING" if status is Status.RUNNING else "KILLED"


def status_of(word: str, tags: Mapping[str, str]) -> Status:
    """The status of a run from the tracker's word; the tag tells why a killed run was."""
    if word == "FINISHED":
        return Status.COMPLETE
    if word == "FAILED":
        return Status.FAILED
    if word == "KILLED":
        return Status.PRUNED if tags.get(STATUS) == Status.PRUNED else Status.STOPPED
    return Status.RUNNING


def written(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as they are stored: ours under `lab.`, the tracker's own as they are."""
    return {stored(name): str(value)[: 2 * TEXT] for name, value in tags.items()}


def stored(name: str) -> str:
    """The name of a tag as it is stored."""
    return name if name.startswith("mlflow.") else OWN + name


def continued(known: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """As `once.continued`, of tags as they are stored."""
    return written(once.continued(_plain(known), _plain(given)))


def _plain(tags: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(OWN): value for name, value in tags.items()}


def identity(spec: ExperimentSpec) -> dict[str, str]:
    """The tags a run is found by, and the specification in pieces that fit."""
    text = spec.to_json()
    pieces = [text[start : start + TEXT] for start in range(0, len(text), TEXT)]
    numbered = {SPEC if i == 0 else f"{SPEC}.{i}": piece for i, piece in enumerate(pieces)}
    return {DIGEST: spec.digest, SEED: str(spec.seed), **numbered}


def parameters(spec: ExperimentSpec) -> dict[str, str]:
    """Dotted path -> value as text, for the columns and filters of a user interface."""
    return {path: str(value)[:TEXT] for path, value in codec.flatten(spec).items()}


def claim(attempt: int) -> str:
    """The parameter that holds who made an attempt, and when."""
    return f"{OWN}attempt.{attempt}"


def claimed(owner: str, now: float) -> str:
    return f"{owner}@{now:.3f}"


def lease(owner: str) -> str:
    """The tag that says when an owner was last alive. The name is a hash, since not every character of an
    owner may be in one."""
    return f"{OWN}lease.{hashlib.sha256(owner.encode()).hexdigest()[:16]}"


def loss(owner: str) -> str:
    """The tag that says that runs were taken from an owner."""
    return lease(owner).replace("lease", "loss", 1)


def beats(tags: Mapping[str, str]) -> dict[str, float]:
    """Owner -> its last sign of life, from the tags of leases."""
    written = [value.rpartition("@") for name, value in tags.items() if name.startswith(OWN + "lease.")]
    return {owner: float(when) for owner, _, when in written}


def attempts(params: Mapping[str, str]) -> int:
    """How often the run was begun."""
    return sum(name.startswith(OWN + "attempt.") for name in params)


def claimed_at(params: Mapping[str, str]) -> float:
    """When the last attempt was claimed, in seconds since the epoch; 0 where nobody has."""
    _, _, since = params.get(claim(attempts(params)), VOID).rpartition("@")
    return 0.0 if since == VOID else float(since)


def worked(attempt: int, seconds: float) -> dict[str, str]:
    """The tag of what an attempt took that has ended."""
    return {f"{OWN}seconds.{attempt}": f"{seconds:.3f}"}


def is_void(params: Mapping[str, str]) -> bool:
    return params.get(claim(1)) == VOID


def lease_of(
    tags: Mapping[str, str], params: Mapping[str, str], beats: Mapping[str, float] = NO_BEATS
) -> Lease:
    """Who made the last attempt. The claim counts as the first sign of life, so that there is no moment
    between claiming and the first beat in which the run looks abandoned. Earlier versions renewed every run's
    own tag, and may still do so elsewhere.

    beats: owner -> its last sign of life."""
    owner = params.get(claim(attempts(params)), "").rpartition("@")[0]
    beat = float(tags.get(BEAT, 0)) if tags.get(OWNER) == owner or not owner else 0.0
    owner = owner or tags.get(OWNER, "")
    return Lease(owner, max(beat, beats.get(owner, 0.0), claimed_at(params)))


def under_way(record: RunRecord, claimed: float) -> bool:
    """Whether somebody works on the run, or is about to, having claimed it since it ended; or died at it."""
    return record.status is Status.RUNNING or (record.ended is not None and claimed > record.ended)


def held(record: RunRecord, lease: Lease, claimed: float) -> bool:
    """True while somebody alive works on the run or is about to."""
    return under_way(record, claimed) and not expired(lease)


def record_of(
    run_id: str,
    *,
    word: str,
    tags: Mapping[str, str],
    params: Mapping[str, str],
    metrics: Mapping[str, float],
    milliseconds: tuple[int, int | None],
) -> RunRecord:
    """A run as tables read it, from what the tracker holds."""
    status = status_of(word, tags)
    started, ended = milliseconds
    took = [float(value) for name, value in tags.items() if name.startswith(OWN + "seconds.")]
    if not took and ended is not None:  # written before this was recorded
        took = [(ended - started) / 1000]
    pieces = [tags.get(SPEC, "")]
    while (piece := tags.get(f"{SPEC}.{len(pieces)}")) is not None:
        pieces.append(piece)
    return RunRecord(
        run_id=run_id,
        digest=tags.get(DIGEST, ""),
        name=tags.get(NAME, ""),
        status=status,
        seed=int(tags.get(SEED, 0)),
        spec="".join(pieces),
        metrics={name: restored(value) for name, value in metrics.items()},
        tags={name: value for stored, value in tags.items() if (name := _told(stored)) is not None},
        parent=tags.get(PARENT),
        attempts=max(1, attempts(params)),
        started=started / 1000,
        ended=None if status is Status.RUNNING or ended is None else ended / 1000,
        worked=sum(took),
        since=(claimed_at(params) or started / 1000) if status is Status.RUNNING else None,
    )


@lru_cache(maxsize=4096)
def _told(name: str) -> str | None:
    """A tag's name as tables read it, None for one that is not for them."""
    return None if _INTERNAL.match(name) or not name.startswith(OWN) else name.removeprefix(OWN)


def restored(value: float) -> float:
    """A value as it was logged: databases that hold no infinity store the largest float in its place."""
    return math.copysign(math.inf, value) if abs(value) > 1.79e308 else value


def must_yield(mine: tuple[float, str], rival: tuple[float, str], rival_params: Mapping[str, Any]) -> bool:
    """Whether a new run gives way to another new run of its digest: to one that is claimed, and to an earlier
    one.

    Both sides decide by this rule alone. The later one always yields if it sees the earlier; if it did not
    see it, it was looking before the earlier one was there, has claimed its run, and the earlier one yields.
    """
    return claim(1) in rival_params or rival < mine

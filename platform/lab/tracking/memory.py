"""The record in memory: what a test or a notebook uses, and the plainest statement of what a record does."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from lab.errors import RunTaken
from lab.spec import ExperimentSpec
from lab.tracking.lease import expired, lost, taken
from lab.tracking.once import LAPSED, Seen, by_digest, continued, matches, may_end
from lab.tracking.tracker import Lease, RunRecord, Scalar, Status


class MemoryTracker:
    """A `Tracker` that lives as long as its process. Safe to use from several threads."""

    def __init__(self) -> None:
        self._records: dict[str, RunRecord] = {}
        self._claims: dict[str, Lease] = {}
        """run -> who has it under way, and since when"""
        self._beats: dict[str, float] = {}
        """owner -> its last sign of life"""
        self._holders: dict[str, str] = {}
        """who took a run last, whether or not it still has the lease"""
        self._seen: dict[str, Seen] = {}
        self._history: dict[str, list[Scalar]] = {}
        self._files: dict[str, dict[str, bytes]] = {}
        self.retired: dict[str, tuple[RunRecord, str]] = {}
        """what was set aside, and why"""
        self._lock = threading.RLock()

    def begin(
        self,
        spec: ExperimentSpec,
        *,
        name: str,
        owner: str,
        tags: Mapping[str, str],
        parent: str | None = None,
    ) -> RunRecord:
        with self._lock:
            known = self.find([spec.digest]).get(spec.digest)
            if known is None:
                known = self._create(
                    digest=spec.digest,
                    name=name,
                    seed=spec.seed,
                    spec=spec.to_json(),
                    tags=tags,
                    parent=parent,
                )
            elif known.status is Status.COMPLETE:
                return known
            else:
                known = self._continue(known)
                known = self._change(
                    known.run_id,
                    tags={**known.tags, **continued(known.tags, tags)},
                    parent=known.parent or parent,
                )
            self._take(known.run_id, owner)
            return known

    def beat(self, run_ids: Iterable[str], owner: str) -> set[str]:
        with self._lock:
            asked = set(run_ids)
            self._beats[owner] = time.time()
            mine = {run_id for run_id, claim in self._claims.items() if claim.owner == owner}
            return asked - mine

    def log(self, run_id: str, scalars: Sequence[Scalar]) -> None:
        with self._lock:
            new = self._seen[run_id].admit(scalars)
            self._history[run_id] += new
            latest = {s.name: s for s in sorted(self._history[run_id], key=lambda s: s.step)}
            self._change(run_id, metrics={name: scalar.value for name, scalar in latest.items()})

    def forget(self, run_id: str) -> None:
        """All of it is here."""

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        with self._lock:
            self._change(run_id, tags={**self._records[run_id].tags, **tags})

    def attach(self, run_id: str, path: Path, folder: str = "") -> None:
        with self._lock:
            self._files[run_id][f"{folder}/{path.name}".lstrip("/")] = path.read_bytes()

    def text(self, run_id: str, file: str) -> str | None:
        kept = self._files[run_id].get(file)
        return None if kept is None else kept.decode()

    def end(self, run_id: str, status: Status, *, owner: str | None = None, reason: str = "") -> None:
        with self._lock:
            known = self._records[run_id]
            if owner is not None and not may_end(known, status, self._holders.get(run_id, ""), owner):
                raise RunTaken(lost(known.name))
            kept = {n: v for n, v in self._records[run_id].tags.items() if reason or n not in LAPSED}
            tags = kept | ({"reason": reason} if reason else {})
            self._change(
                run_id, status=status, tags=tags, ended=time.time(), worked=self._worked(run_id), since=None
            )
            self._claims.pop(run_id, None)

    def require_free(self, run_id: str) -> None:
        lease = self._lease(run_id)
        if lease is not None and not expired(lease):
            raise RunTaken(taken(self._records[run_id].name, lease.owner))

    def retire(self, run_id: str, reason: str) -> None:
        with self._lock:
            self.require_free(run_id)
            self._claims.pop(run_id, None)
            self.retired[run_id] = (self._records.pop(run_id), reason)

    def group(self, name: str, *, kind: str, scale: str, owner: str) -> RunRecord:
        with self._lock:
            known = self.parent(name, kind=kind, scale=scale)
            if known is None:
                known = self._create(name=name, tags={"kind": kind, "scale": scale})
            else:
                known = self._continue(known)
            self._take(known.run_id, owner)
            return known

    def parent(self, name: str, *, kind: str, scale: str) -> RunRecord | None:
        wanted = {"kind": kind, "scale": scale}
        for record in self._records.values():
            if not record.digest and record.name == name and matches(record.tags, wanted):
                return record
        return None

    def find(self, digests: Iterable[str]) -> dict[str, RunRecord]:
        wanted = set(digests)
        return by_digest(record for record in self._records.values() if record.digest in wanted)

    def runs(
        self, *, parent: str | None = None, tags: Mapping[str, str | None] | None = None
    ) -> list[RunRecord]:
        chosen = [
            r
            for r in self._records.values()
            if r.digest and (parent in (None, r.parent)) and matches(r.tags, tags)
        ]
        return sorted(chosen, key=lambda record: record.started)

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        return sorted({s.step: s.value for s in self._history[run_id] if s.name == metric}.items())

    def histories(self, run_ids: Collection[str]) -> dict[str, dict[str, list[tuple[int, float]]]]:
        return {
            run_id: {name: self.history(run_id, name) for name in self._records[run_id].metrics}
            for run_id in run_ids
        }

    def reconcile(self) -> list[RunRecord]:
        with self._lock:
            dead = [run_id for run_id in self._claims if (lease := self._lease(run_id)) and expired(lease)]
            for run_id in dead:
                self.end(run_id, Status.STOPPED, reason="its process is gone")
            return [self._records[run_id] for run_id in dead]

    def summary(self) -> Mapping[str, Any]:
        return {"tracking": "memory", "runs": len(self._records), "open": "it ends with this process"}

    def _create(
        self,
        *,
        name: str,
        tags: Mapping[str, str],
        digest: str = "",
        seed: int = 0,
        spec: str = "",
        parent: str | None = None,
    ) -> RunRecord:
        run_id = uuid4().hex
        self._seen[run_id], self._history[run_id], self._files[run_id] = Seen(), [], {}
        now = time.time()
        self._records[run_id] = RunRecord(
            run_id, digest, name, Status.RUNNING, seed, spec, {}, dict(tags), parent, started=now, since=now
        )
        return self._records[run_id]

    def _take(self, run_id: str, owner: str) -> None:
        self._holders[run_id] = owner
        self._claims[run_id] = Lease(owner, time.time())

    def _lease(self, run_id: str) -> Lease | None:
        claim = self._claims.get(run_id)
        return claim and Lease(claim.owner, max(claim.beat, self._beats.get(claim.owner, 0.0)))

    def _continue(self, known: RunRecord) -> RunRecord:
        lease = self._lease(known.run_id)
        if lease is not None and not expired(lease):
            raise RunTaken(taken(known.name, lease.owner))
        return self._change(
            known.run_id,
            status=Status.RUNNING,
            ended=None,
            attempts=known.attempts + 1,
            worked=self._worked(known.run_id),
            since=time.time(),
        )

    def _worked(self, run_id: str) -> float:
        """What all attempts took: the one under way to its last sign of life where its owner is dead."""
        record, lease = self._records[run_id], self._lease(run_id)
        end = lease.beat if lease is not None and expired(lease) else time.time()
        return record.worked + (max(0.0, end - record.since) if record.since is not None else 0.0)

    def _change(self, run_id: str, **fields: Any) -> RunRecord:
        self._records[run_id] = dataclasses.replace(self._records[run_id], **fields)
        return self._records[run_id]

"""What the record answered while tables were made: enough to make them again without it, and to see later
what of it has changed.

It is plain JSON, without times of making: the same answers give the same bytes. What no table depends on is
left out (leases, the progress of unfinished runs, the sweeps nobody asked about), so that it stays the same
while others work on the record.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NoReturn

from lab.errors import RecordError
from lab.tracking.once import by_digest, matches
from lab.tracking.tracker import MEMBER, RunRecord, Status, Tracker

Curve = list[tuple[int, float]]
FINISHED = (Status.COMPLETE, Status.PRUNED)
NUMBER = (int, float)
KINDS: Mapping[str, type | tuple[type, ...]] = {
    "run_id": str, "digest": str, "name": str, "status": str, "seed": int, "spec": str, "metrics": dict,
    "tags": dict, "parent": (str, type(None)), "attempts": int, "started": NUMBER,
    "ended": (*NUMBER, type(None)), "worked": NUMBER, "since": (*NUMBER, type(None)),
}  # fmt: skip
"""what the fields of a run are in JSON"""


@dataclass
class Snapshot:
    """A `Tracker` that can only be read, over the runs that it holds."""

    held: dict[str, RunRecord] = field(default_factory=dict)
    """run id -> run"""
    groups: dict[str, RunRecord] = field(default_factory=dict)
    """kind/name/scale -> the parent run of a sweep"""
    curves: dict[str, dict[str, Curve]] = field(default_factory=dict)
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    """run id -> name -> text that was kept with it"""

    def find(self, digests: Iterable[str]) -> dict[str, RunRecord]:
        wanted = set(digests)
        return by_digest(run for run in self.held.values() if run.digest in wanted)

    def runs(
        self, *, parent: str | None = None, tags: Mapping[str, str | None] | None = None
    ) -> list[RunRecord]:
        chosen = [r for r in self.held.values() if parent in (None, r.parent) and matches(r.tags, tags)]
        return sorted(chosen, key=lambda run: (run.started, run.run_id))

    def parent(self, name: str, *, kind: str, scale: str) -> RunRecord | None:
        return self.groups.get(f"{kind}/{name}/{scale}")

    def history(self, run_id: str, metric: str) -> Curve:
        return self.curves.get(run_id, {}).get(metric, [])

    def histories(self, run_ids: Collection[str]) -> dict[str, dict[str, Curve]]:
        return {run_id: self.curves[run_id] for run_id in run_ids if run_id in self.curves}

    def text(self, run_id: str, file: str) -> str | None:
        return self.files.get(run_id, {}).get(file)

    def summary(self) -> Mapping[str, Any]:
        return {"tracking": "a snapshot", "runs": len(self.held), "open": "lab tables --from"}

    def __getattr__(self, name: str) -> NoReturn:
        raise RecordError(f"a snapshot of the record can only be read, not asked for {name!r}.")

    def data(self) -> dict[str, Any]:
        """As JSON; of what is kept with runs, what was asked for while the tables were made."""
        runs = sorted(self.held.values(), key=lambda run: (run.digest, run.run_id))
        kept = {run_id: dict(sorted(named.items())) for run_id, named in sorted(self.files.items())}
        return ({"kept": kept} if kept else {}) | {
            "runs": [_written(run) for run in runs],
            "groups": {key: _written(run) for key, run in sorted(self.groups.items())},
            "curves": {
                run_id: {name: [[step, _number(value)] for step, value in curve] for name, curve in named}
                for run_id, named in ((r, sorted(of.items())) for r, of in sorted(self.curves.items()))
            },
        }

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Snapshot:
        """Raises RecordError for what is none."""
        try:
            runs = [_run(item) for item in data["runs"]]
            return cls(
                held={run.run_id: run for run in runs},
                groups={key: _run(item) for key, item in data["groups"].items()},
                curves={
                    run_id: {
                        name: [(int(step), float(value)) for step, value in curve]
                        for name, curve in named.items()
                    }
                    for run_id, named in data["curves"].items()
                },
                files={
                    run_id: {name: _text(text) for name, text in named.items()}
                    for run_id, named in data.get("kept", {}).items()
                },
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as fault:
            what = f"{type(fault).__name__}: {str(fault)[:100]}"
            raise RecordError(f"this is no snapshot of a record ({what}).") from None


class Witness:
    """A record that remembers what it was asked for. It is read through, never written."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._asked: set[str] = set()
        self._seen = Snapshot()

    def find(self, digests: Iterable[str]) -> dict[str, RunRecord]:
        found = self._tracker.find(digests)
        self._remember(found.values())
        return found

    def runs(
        self, *, parent: str | None = None, tags: Mapping[str, str | None] | None = None
    ) -> list[RunRecord]:
        self._asked |= {name for name in tags or () if name.startswith(MEMBER)}
        found = self._tracker.runs(parent=parent, tags=tags)
        self._remember(found)
        return found

    def parent(self, name: str, *, kind: str, scale: str) -> RunRecord | None:
        found = self._tracker.parent(name, kind=kind, scale=scale)
        if found is not None:
            self._seen.groups[f"{kind}/{name}/{scale}"] = found
        return found

    def history(self, run_id: str, metric: str) -> Curve:
        curve = self._tracker.history(run_id, metric)
        self._seen.curves.setdefault(run_id, {})[metric] = curve
        return curve

    def histories(self, run_ids: Collection[str]) -> dict[str, dict[str, Curve]]:
        found = self._tracker.histories(run_ids)
        for run_id, curves in found.items():
            self._seen.curves.setdefault(run_id, {}).update(curves)
        return found

    def text(self, run_id: str, file: str) -> str | None:
        found = self._tracker.text(run_id, file)
        if found is not None:
            self._seen.files.setdefault(run_id, {})[file] = found
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tracker, name)

    def snapshot(self) -> Snapshot:
        """All that was answered so far, without what no table depends on."""
        return Snapshot(
            held={run_id: self._lean(run) for run_id, run in self._seen.held.items()},
            groups={
                key: replace(self._lean(run), metrics={}, tags={}) for key, run in self._seen.groups.items()
            },
            curves=self._seen.curves,
            files=self._seen.files,
        )

    def _remember(self, runs: Iterable[RunRecord]) -> None:
        self._seen.held |= {run.run_id: run for run in runs}

    def _lean(self, run: RunRecord) -> RunRecord:
        tags = {n: v for n, v in run.tags.items() if not n.startswith(MEMBER) or n in self._asked}
        if run.status in FINISHED:
            return replace(run, tags=tags)
        return replace(run, tags=tags, metrics={}, since=None, ended=None, worked=0.0, attempts=1)


def _written(run: RunRecord) -> dict[str, Any]:
    return asdict(run) | {"metrics": {name: _number(value) for name, value in sorted(run.metrics.items())}}


def _number(value: float) -> float | str:
    """JSON has no word for what is not finite."""
    return value if math.isfinite(value) else str(value)


def _run(item: Mapping[str, Any]) -> RunRecord:
    odd = [name for name, value in item.items() if not isinstance(value, KINDS[name])]
    if odd:
        raise TypeError(f"a run has {item[odd[0]]!r} as {odd[0]}")
    tags = {name: _text(value) for name, value in item["tags"].items()}
    metrics = {name: float(value) for name, value in item["metrics"].items()}
    return RunRecord(**{**item, "tags": tags, "metrics": metrics, "status": Status(item["status"])})


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


__all__: Sequence[str] = ["Curve", "Snapshot", "Witness"]

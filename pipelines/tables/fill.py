"""Tables from the record: one query for all runs of all cells, histories only where a rule asks for them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from lab import codec
from lab.errors import SpecError
from lab.origin import FINGERPRINT
from lab.spec import ExperimentSpec
from lab.tracking.provenance import is_dirty, is_nobodys
from lab.tracking.tracker import RunRecord, Status, Tracker, membership
from pipelines.tables.cell import Cell, Measured, Measurement, Missing, Reading, Stage, State
from pipelines.tables.select import Curve
from pipelines.tables.table import ResultsTable

PERCENT = 100.0
COMMIT, DIRTY = "commit", "dirty"
"""Tags of a run that tables read, beside that of its data: what it was made with."""


@dataclass
class Record:
    """What one query found: digest -> run. Remembers histories, so that rules share them."""

    tracker: Tracker
    runs: Mapping[str, RunRecord]
    curves: dict[tuple[str, str], Curve] = field(default_factory=dict)

    def of(self, measurement: Measurement) -> dict[int, RunRecord]:
        """Seed -> its run, complete or not."""
        return {spec.seed: self.runs[spec.digest] for spec in measurement.specs if spec.digest in self.runs}

    def history(self, run_id: str, metric: str) -> Curve:
        key = (run_id, metric)
        if key not in self.curves:
            self.curves[key] = self.tracker.history(run_id, metric)
        return self.curves[key]


def fill(tables: Sequence[ResultsTable], tracker: Tracker) -> list[ResultsTable]:
    """The same tables with what the record holds. Raises TrackingUnreachable."""
    asked = [measurement for table in tables for measurement in table.measurements()]
    record = Record(tracker, tracker.find({spec.digest for m in asked for spec in m.specs}))
    by_sweep: dict[tuple[str, str], list[Measurement]] = {}
    for measurement in asked:
        by_sweep.setdefault((measurement.sweep, measurement.scale), []).append(measurement)
    sweeps = {key: _SweepState.of(*key, group, record) for key, group in by_sweep.items()}

    def filled(cell: Cell) -> Cell:
        if isinstance(cell, Missing | Measured):
            return _fill(cell, record, sweeps[cell.measurement.sweep, cell.measurement.scale])
        return cell

    return [table.replaced(filled) for table in tables]


@dataclass(frozen=True)
class _SweepState:
    """What is known of a whole sweep: whether it is running, what a run takes, which runs were outgrown."""

    busy: bool
    seconds: float | None
    outgrown: Mapping[tuple[str, int], RunRecord]

    @classmethod
    def of(cls, name: str, scale: str, asked: Sequence[Measurement], record: Record) -> _SweepState:
        runs = [run for measurement in asked for run in record.of(measurement).values()]
        took = [run.seconds for run in runs if run.status is Status.COMPLETE and run.ended is not None]
        empty = any(not record.of(measurement) for measurement in asked)
        parent = record.tracker.parent(name, kind="ablation", scale=scale) if empty else None
        return cls(
            busy=parent is not None and parent.status is Status.RUNNING,
            seconds=statistics.median(took) if took else None,
            outgrown=_outgrown(name, scale, asked, record) if empty else {},
        )


def _outgrown(
    name: str, scale: str, asked: Sequence[Measurement], record: Record
) -> dict[tuple[str, int], RunRecord]:
    """(case, seed) -> the newest complete run of that case whose specification is no longer the case's."""
    member = membership(name, scale)
    current = {spec.digest for measurement in asked for spec in measurement.specs}
    return {
        (run.tags[member], run.seed): run
        for run in record.tracker.runs(tags={member: None})
        if run.status is Status.COMPLETE and run.digest not in current
    }


def _fill(cell: Missing | Measured, record: Record, sweep: _SweepState) -> Cell:
    asked = cell.measurement
    runs = record.of(asked)
    complete = {seed: run for seed, run in runs.items() if run.status is Status.COMPLETE}
    lacking = len(asked.specs) - len(complete)
    price = lacking * sweep.seconds if lacking and sweep.seconds is not None else None
    if not complete:
        old = {
            s.seed: sweep.outgrown[asked.case, s.seed]
            for s in asked.specs
            if (asked.case, s.seed) in sweep.outgrown
        }
        readings, _ = _read(asked, old, record)
        if readings and not any(run.status is Status.RUNNING for run in runs.values()):
            why = _smallest_difference(old[readings[0].seed], asked.specs)
            return Measured(asked, State(Stage.STALE, 0, len(asked.specs), why), readings, cell.paper, price)
        return Missing(asked, _unfinished(runs, 0, asked, sweep.busy), cell.paper, price)
    readings, faults = _read(asked, complete, record)
    faults += _distrust(complete)
    if not readings:
        return Missing(
            asked, State(Stage.TAINTED, len(complete), len(asked.specs), "; ".join(faults)), cell.paper, price
        )
    if lacking:
        state = _unfinished(runs, len(complete), asked, sweep.busy)
        state = replace(state, why="; ".join(filter(None, [state.why, *faults])))
    else:
        state = State(
            Stage.TAINTED if faults else Stage.COMPLETE, len(complete), len(asked.specs), "; ".join(faults)
        )
    return Measured(asked, state, readings, cell.paper, price)


def _unfinished(runs: Mapping[int, RunRecord], done: int, asked: Measurement, busy: bool) -> State:
    """The state of a cell that lacks seeds, and what became of those."""
    of = len(asked.specs)
    if any(run.status is Status.RUNNING for run in runs.values()):
        return State(Stage.RUNNING, done, of)
    ended = [
        f"seed {seed} {run.status}" for seed, run in sorted(runs.items()) if run.status is not Status.COMPLETE
    ]
    if done or ended:
        absent = [f"seed {spec.seed} not run" for spec in asked.specs if spec.seed not in runs]
        return State(Stage.INCOMPLETE, done, of, ", ".join(ended + absent))
    return State(Stage.QUEUED if busy else Stage.MISSING, 0, of)


def _read(
    asked: Measurement, runs: Mapping[int, RunRecord], record: Record
) -> tuple[tuple[Reading, ...], list[str]]:
    """What the selection rule chooses in each run, and the seeds where it finds no number."""
    readings, faults = [], []
    for seed, run in sorted(runs.items()):
        choice = asked.selection.choose(run, asked.metric, partial(record.history, run.run_id))
        if choice is None:
            faults.append(f"seed {seed} recorded no {asked.metric} ({asked.selection.name})")
        elif not math.isfinite(choice.value):
            faults.append(f"seed {seed} recorded {asked.metric} as {choice.value}")
        else:
            commit = run.tags.get(COMMIT, "")
            value = choice.value * PERCENT
            readings.append(Reading(seed, run.run_id, run.digest, value, choice.step, commit))
    return tuple(readings), faults


def _distrust(runs: Mapping[int, RunRecord]) -> list[str]:
    """Why finished runs may not fill a final cell."""
    faults = []
    dirty = [str(seed) for seed, run in sorted(runs.items()) if is_dirty(run.tags)]
    if dirty:
        faults.append(f"uncommitted changes in the code of seed {', '.join(dirty)}")
    nobody = [str(seed) for seed, run in sorted(runs.items()) if is_nobodys(run.tags)]
    if nobody:
        faults.append(f"the code of seed {', '.join(nobody)} is in no commit that is known")
    data = sorted({run.tags[FINGERPRINT] for run in runs.values() if FINGERPRINT in run.tags})
    if len(data) > 1:
        faults.append(f"seeds saw different data: {', '.join(data)}")
    return faults


def _smallest_difference(run: RunRecord, specs: Sequence[ExperimentSpec]) -> str:
    """`optimizer.lr was 0.004, is 0.002`."""
    now = next(spec for spec in specs if spec.seed == run.seed)
    try:
        changed = codec.difference(ExperimentSpec.from_json(run.spec), now)
    except SpecError:
        return "its specification can no longer be read"
    return ", ".join(f"{path} was {old}, is {new}" for path, (old, new) in changed.items())

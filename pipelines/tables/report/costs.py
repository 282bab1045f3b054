"""What finished runs have cost, and what is missing would cost: runs, hours and operations, by exhibit.

A run that fills cells of several exhibits stands in each of them, and once in the sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lab.durations import Steps
from lab.spec import ExperimentSpec
from lab.tracking.tracker import RunRecord
from lab.train.chain import CURVE, MADE
from lab.train.pace import FORWARD_AND_BACKWARD
from pipelines.tables.cell import Measured, Measurement, Missing
from pipelines.tables.fill import Record
from pipelines.tables.report.sheet import finished
from pipelines.tables.table import ResultsTable

Devices = tuple[tuple[str, float], ...]
"""kind -> worker-seconds"""


@dataclass(frozen=True)
class Owed:
    """What is missing would take. runs: how many · operations: of training and evaluations, None where the
    size of the data is not stated · seconds: None where it is known of no run · devices: kinds as of the
    finished runs of the same exhibit · unpriced: runs of which no seconds are known"""

    runs: int = 0
    operations: float | None = 0.0
    seconds: float | None = None
    devices: Devices = ()
    unpriced: int = 0


@dataclass(frozen=True)
class Cost:
    """runs, seconds, operations: of training, spent"""

    title: str
    runs: int
    seconds: float
    devices: Devices
    operations: float
    owed: Owed
    commands: tuple[str, ...] = ()


def costs(tables: Sequence[ResultsTable], record: Record) -> list[Cost]:
    """One for each exhibit that measures anything, then the sum if there are several."""
    measuring = [table for table in tables if any(True for _ in table.measurements())]
    each = [_cost(table.title, [table], record, tuple(table.commands())) for table in measuring]
    return [*each, _cost("All together", measuring, record)] if len(each) > 1 else each


def spent(run: RunRecord, spec: ExperimentSpec, record: Record) -> float:
    """Operations of a finished run's training, by the steps on its loss curve; 0 where it has none."""
    if isinstance(spec.duration, Steps):
        steps = spec.duration.count
    else:
        steps = max((step for step, _ in record.history(run.run_id, CURVE)), default=0)
    return float(FORWARD_AND_BACKWARD * spec.model.flops() * spec.batch_size * steps)


def _cost(title: str, tables: Sequence[ResultsTable], record: Record, commands: tuple[str, ...] = ()) -> Cost:
    ran = {run.run_id: (spec, run) for spec, run in _runs(tables, record)}.values()
    return Cost(
        title,
        runs=len(ran),
        seconds=sum(run.worked for _, run in ran),
        devices=_devices(run for _, run in ran),
        operations=sum(spent(run, spec, record) for spec, run in ran),
        owed=_owed(tables, record),
        commands=commands,
    )


def _runs(tables: Iterable[ResultsTable], record: Record) -> Iterator[tuple[ExperimentSpec, RunRecord]]:
    for table in tables:
        for asked in table.measurements():
            runs = finished(record.of(asked))
            yield from ((spec, runs[spec.seed]) for spec in asked.specs if spec.seed in runs)


def _devices(runs: Iterable[RunRecord]) -> Devices:
    seconds: dict[str, float] = {}
    for run in runs:
        device = run.tags.get(f"{MADE}device", "device unknown")
        workers = int(run.tags.get(f"{MADE}workers", 1))
        seconds[device] = seconds.get(device, 0.0) + run.worked * workers
    return tuple(sorted(seconds.items()))


def _owed(tables: Iterable[ResultsTable], record: Record) -> Owed:
    """Of the runs that cells lack, each once: several cells may read the same."""
    seen: dict[frozenset[str], Measured | Missing] = {}
    devices: dict[str, float] = {}
    for table in tables:
        ran = {run.run_id: run for _, run in _runs([table], record)}.values()
        worked = sum(run.worked for run in ran)
        for _, _, cell in table.cells():
            if not isinstance(cell, Measured | Missing) or not cell.state.lacking:
                continue
            if (digests := _digests(cell.measurement)) in seen:
                continue
            seen[digests] = cell
            for device, seconds in _devices(ran) if cell.price and worked else ():
                devices[device] = devices.get(device, 0.0) + (cell.price or 0.0) * seconds / worked
    operations, prices = [c.operations for c in seen.values()], [c.price for c in seen.values()]
    known = [price for price in prices if price is not None]
    return Owed(
        runs=sum(cell.state.lacking for cell in seen.values()),
        operations=None if None in operations else sum(of for of in operations if of is not None),
        seconds=sum(known) if known else None,
        devices=tuple(sorted(devices.items())),
        unpriced=sum(cell.state.lacking for cell in seen.values() if cell.price is None),
    )


def _digests(asked: Measurement) -> frozenset[str]:
    return frozenset(spec.digest for spec in asked.specs)


__all__ = ["Cost", "Owed", "costs", "spent"]

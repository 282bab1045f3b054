"""What finished runs have cost, and what is missing would cost: runs, hours and operations, by exhibit.

A run that fills cells of several exhibits stands in each of them, and once in the sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


@dataclass(frozen=True)
class Cost:
    """runs, seconds, operations: of training, spent · devices: kind -> worker-seconds · lacking: runs ·
    price: seconds that those would take, None where it is known of none · unpriced: how many it is not
    known of"""

    title: str
    runs: int
    seconds: float
    devices: tuple[tuple[str, float], ...]
    operations: float
    lacking: int
    price: float | None
    unpriced: int
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
    runs: dict[str, RunRecord] = {}
    devices: dict[str, float] = {}
    operations = 0.0
    for spec, run in _runs(tables, record):
        if run.run_id in runs:
            continue
        runs[run.run_id] = run
        device = run.tags.get(f"{MADE}device", "device unknown")
        workers = int(run.tags.get(f"{MADE}workers", 1))
        devices[device] = devices.get(device, 0.0) + run.worked * workers
        operations += spent(run, spec, record)
    lacking, price, unpriced = _missing(tables)
    seconds = sum(run.worked for run in runs.values())
    return Cost(
        title,
        len(runs),
        seconds,
        tuple(sorted(devices.items())),
        operations,
        lacking,
        price,
        unpriced,
        commands,
    )


def _runs(tables: Iterable[ResultsTable], record: Record) -> Iterable[tuple[ExperimentSpec, RunRecord]]:
    for table in tables:
        for asked in table.measurements():
            runs = finished(record.of(asked))
            yield from ((spec, runs[spec.seed]) for spec in asked.specs if spec.seed in runs)


def _missing(tables: Iterable[ResultsTable]) -> tuple[int, float | None, int]:
    """Runs that cells lack, each once, and what they would take."""
    seen: dict[frozenset[str], tuple[int, float | None]] = {}
    for table in tables:
        for _, _, cell in table.cells():
            if isinstance(cell, Measured | Missing) and cell.state.lacking:
                seen[_digests(cell.measurement)] = (cell.state.lacking, cell.price)
    prices = [price for _, price in seen.values() if price is not None]
    unpriced = sum(lacking for lacking, price in seen.values() if price is None)
    return sum(lacking for lacking, _ in seen.values()), sum(prices) if prices else None, unpriced


def _digests(asked: Measurement) -> frozenset[str]:
    return frozenset(spec.digest for spec in asked.specs)


__all__ = ["Cost", "costs", "spent"]

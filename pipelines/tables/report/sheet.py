"""What a cell opens to: its seeds, their curves, what was changed, and what the runs were made with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lab import codec
from lab.commands.catalogue import words
from lab.errors import SpecError
from lab.origin import FINGERPRINT
from lab.spec import ExperimentSpec
from lab.tracking.provenance import is_dirty
from lab.tracking.tracker import RunRecord, Status
from lab.train.chain import CURVE, MADE
from pipelines.tables.cell import Measured, Measurement, Missing
from pipelines.tables.fill import COMMIT, Record
from pipelines.tables.plots import Panel
from pipelines.tables.report.curves import drawn
from pipelines.tables.table import ResultsTable

UNKNOWN = "unknown"
MADE_WITH = ("device", "machine", "workers", "torch", "python")


@dataclass(frozen=True)
class Ran:
    """One seed of a cell. value: in percent, None where it is no result yet."""

    seed: int
    value: float | None
    step: int | None
    seconds: float | None
    attempts: int
    digest: str
    run_id: str


@dataclass(frozen=True)
class Sheet:
    """base: the case that `changes` (field, there, here) are told from; empty where it is this one"""

    runs: tuple[Ran, ...]
    drawings: tuple[Panel, ...]
    base: str
    changes: tuple[tuple[str, str, str], ...]
    made_with: tuple[tuple[str, str], ...]
    command: str


def sheet(table: ResultsTable, cell: Measured | Missing, record: Record | None) -> Sheet:
    """All of it, or as much as the cell itself knows where there is no record to ask."""
    asked = cell.measurement
    runs = {} if record is None else finished(record.of(asked))
    first = next(iter(table.measurements()))
    return Sheet(
        runs=tuple(_ran(cell, spec, runs.get(spec.seed)) for spec in asked.specs if _known(cell, spec, runs)),
        drawings=() if record is None else tuple(_curves(asked, runs, record)),
        base="" if first.case == asked.case else first.case,
        changes=_changes(first.specs[0], asked.specs[0]),
        made_with=tuple(made_with(runs.values())),
        command=f"{asked.command} --only '{asked.case}'",
    )


def finished(runs: Mapping[int, RunRecord]) -> dict[int, RunRecord]:
    """Those that are complete: what an unfinished one has come to changes by the minute."""
    return {seed: run for seed, run in runs.items() if run.status is Status.COMPLETE}


def made_with(runs: Iterable[RunRecord]) -> list[tuple[str, str]]:
    """Code, data, devices and libraries of runs, each value once with how many runs have it."""
    held = list(runs)
    if not held:
        return []
    facts = {
        "code": [code(run) for run in held],
        "data": [run.tags.get(FINGERPRINT, UNKNOWN) for run in held],
    }
    facts |= {name: [run.tags.get(MADE + name, UNKNOWN) for run in held] for name in MADE_WITH}
    return [(name, counted(values)) for name, values in facts.items() if set(values) != {UNKNOWN}]


def code(run: RunRecord) -> str:
    """The commit of a run, and whether there were changes besides."""
    return run.tags.get(COMMIT, UNKNOWN)[:12] + (" with uncommitted changes" if is_dirty(run.tags) else "")


def counted(values: Sequence[str]) -> str:
    """`cpu`, or `cpu (4 runs), NVIDIA H200 (1 run)` where they differ."""
    counts = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
    if len(counts) == 1:
        return counts[0][0]
    return ", ".join(f"{value} ({n} run{'s' * (n > 1)})" for value, n in counts)


def _known(cell: Measured | Missing, spec: ExperimentSpec, runs: Mapping[int, RunRecord]) -> bool:
    return spec.seed in runs or (isinstance(cell, Measured) and spec.seed in cell.by_seed)


def _ran(cell: Measured | Missing, spec: ExperimentSpec, run: RunRecord | None) -> Ran:
    readings = {r.seed: r for r in cell.readings} if isinstance(cell, Measured) else {}
    reading = readings.get(spec.seed)
    return Ran(
        seed=spec.seed,
        value=reading.value if reading else None,
        step=reading.step if reading else None,
        seconds=run.worked if run else None,
        attempts=run.attempts if run else 1,
        digest=reading.digest if reading else spec.digest,
        run_id=reading.run_id if reading else run.run_id if run else "",
    )


def _curves(asked: Measurement, runs: Mapping[int, RunRecord], record: Record) -> list[Panel]:
    """The cell's own metric and the loss, over the steps of every seed."""
    name = asked.metric.partition("/")[2]
    panels = []
    for metrics, factor, unit in (((asked.metric, f"validation/{name}"), 100.0, "%"), ((CURVE,), 1.0, "")):
        series = {
            metric: {
                seed: [(step, value * factor) for step, value in curve]
                for seed, run in sorted(runs.items())
                if len(curve := record.history(run.run_id, metric)) > 1
            }
            for metric in dict.fromkeys(metrics)
        }
        panel = drawn({metric: of for metric, of in series.items() if of}, unit)
        panels += [panel] if panel else []
    return panels


def _changes(base: ExperimentSpec, here: ExperimentSpec) -> tuple[tuple[str, str, str], ...]:
    try:
        changed = codec.difference(base, here)
    except SpecError:
        return ()
    return tuple((path, words(was), words(now)) for path, (was, now) in changed.items() if path != "seed")

"""How a cell is put in words, the same in every format."""

from __future__ import annotations

import re

from lab.commands.plan import scaled
from pipelines.tables.cell import Cell, Counted, Measured, Missing, Pace, Stage, short
from pipelines.tables.paper import Quoted
from pipelines.tables.statistics import Estimate
from pipelines.tables.table import Column, ResultsTable, Row

MINUS = "−"


def anchor(table: str, row: str, column: str) -> str:
    """The name of a cell in addresses: `table6.8-interleaved.top1`."""
    return ".".join(re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in (table, row, column))


def anew(table: ResultsTable, row: Row, column: Column) -> str:
    """The command for a cell whose runs are on record but can be no result."""
    return f"lab fill '{table.name} / {row.label} / {column.key}' --scale {table.scale} --anew"


def estimate(of: Estimate) -> str:
    """`96.4 ± 1.1`, or `96.4` for one seed."""
    return f"{of.mean:.1f}" + ("" if of.half_width is None else f" ± {of.half_width:.1f}")


def seeds(cell: Measured) -> str:
    """`n=3`: how many seeds the number rests on."""
    return f"n={len(cell.readings)}"


def signed(points: float) -> str:
    """`+1.2`, `−0.3`, and `0.0` without a sign."""
    written = f"{points:+.1f}"
    return "0.0" if float(written) == 0 else written.replace("-", MINUS)


def ours(cell: Cell) -> str:
    """Our number with what must stand beside it: interval, n, and the state unless it is complete."""
    if isinstance(cell, Counted):
        return short(cell.value)
    if isinstance(cell, Measured):
        state = "" if cell.state.stage is Stage.COMPLETE else f" · {cell.state}"
        return f"{estimate(cell.estimate)} · {seeds(cell)}{state}"
    if isinstance(cell, Missing):
        return str(cell.state)
    return ""


def paper(cell: Cell) -> str:
    """What the paper prints there, or nothing."""
    quoted = cell if isinstance(cell, Quoted) else cell.paper
    return quoted.text if quoted else ""


def note(cell: Cell) -> str:
    """What must be said about the paper's value."""
    quoted = cell if isinstance(cell, Quoted) else cell.paper
    return quoted.note if quoted else ""


def footnotes(table: ResultsTable) -> list[str]:
    """What must be said about printed values, each once with its columns, then the exhibit's notes."""
    about: dict[tuple[str, str], list[str]] = {}
    for row, column, cell in table.cells():
        if note(cell):
            about.setdefault((row.label, note(cell)), []).append(column.title.lower())
    return [f"† {row}, {' and '.join(columns)}: {text}" for (row, text), columns in about.items()] + list(
        table.notes
    )


def state(cell: Cell) -> str:
    if isinstance(cell, Measured | Missing):
        return str(cell.state)
    return "counted" if isinstance(cell, Counted) else "quoted"


def verdict(cell: Cell) -> str:
    return "" if isinstance(cell, Quoted | Missing) else cell.verdict


def p_value(p: float) -> str:
    """`p=0.013`, `p<0.001`."""
    return "p<0.001" if p < 0.001 else f"p={p:.2g}"


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def price(seconds: float | None, operations: float | None = None, pace: Pace | None = None) -> str:
    """What filling a cell would take, `3.1 TFLOP, about 12 min, 0.20 h of cpu`: the time from the median
    of its sweep's finished runs, the operations from its specification."""
    time = "time unknown: no finished run of this sweep" if seconds is None else f"about {duration(seconds)}"
    hours = (
        [] if seconds is None or pace is None else [f"{seconds * pace.workers / 3600:.2f} h of {pace.device}"]
    )
    return ", ".join(([scaled(operations, "FLOP")] if operations else []) + [time, *hours])

"""From names to files: load the exhibits, fill them from the record, write them in the format asked for."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast, get_args

from lab import Ablation, Search
from lab.errors import SpecError, UnknownName
from lab.sweep import Sweep
from lab.tracking.tracker import Tracker, membership
from lab.train.chain import MADE
from pipelines.tables import export, fill, latex, markdown
from pipelines.tables.cell import Cell, Measured, Missing, Pace
from pipelines.tables.colophon import FILE, Colophon, Written
from pipelines.tables.plots import Panel
from pipelines.tables.report import report
from pipelines.tables.search import SearchResult, search_result
from pipelines.tables.snapshot import Witness
from pipelines.tables.table import ResultsTable
from pipelines.tables.terminal import terminal

Format = Literal["text", "md", "tex", "csv", "json", "html"]
PAGE = "report.html"
_SUFFIX = {"text": "txt"}
SUFFIXES = frozenset(_SUFFIX.get(form, form) for form in get_args(Format)) - {"html"}
"""of the files that hold one exhibit"""


@dataclass(frozen=True)
class Exhibit:
    """A module of this package with a `SWEEP`: the table it states, the figure it draws, and what its models
    see by what their runs have kept; `undrawn` says what to do where they have kept nothing."""

    name: str
    sweep: str
    table: Callable[[Ablation], ResultsTable]
    plot: Callable[[ResultsTable], list[Panel]]
    pictures: Callable[[ResultsTable, Tracker], list[Panel]]
    undrawn: Callable[[ResultsTable], str] | None


def exhibits() -> dict[str, Exhibit]:
    """Name -> exhibit: every module beside this one that names its sweep."""
    names = [info.name for info in pkgutil.iter_modules([str(Path(__file__).parent)])]
    modules = {name: importlib.import_module(f"{__package__}.{name}") for name in names}
    return {
        name: Exhibit(
            name,
            module.SWEEP,
            module.table,
            plot=getattr(module, "plot", lambda filled: []),
            pictures=getattr(module, "pictures", lambda filled, tracker: []),
            undrawn=getattr(module, "undrawn", None),
        )
        for name, module in modules.items()
        if hasattr(module, "SWEEP") and hasattr(module, "table")
    }


def assemble(names: Sequence[str], tracker: Tracker, sweeps: Mapping[str, Sweep]) -> list[ResultsTable]:
    """These exhibits filled from the record, all by one query.

    sweeps: name -> sweep, at the scale wanted. Raises UnknownName for an exhibit or a sweep not there.
    """
    filled = fill.fill([_find(name).table(_ablation(_find(name), sweeps)) for name in names], tracker)
    return [paced(table, tracker) for table in filled]


def paced(table: ResultsTable, tracker: Tracker) -> ResultsTable:
    """With what its prices were measured on, by the first of its finished runs that says so."""
    measured = [cell for _, _, cell in table.cells() if isinstance(cell, Measured) and cell.readings]
    if not measured or not table.commands():
        return table
    digest = measured[0].readings[0].digest
    tags = run.tags if (run := tracker.find([digest]).get(digest)) else {}
    if (device := tags.get(f"{MADE}device")) is None:
        return table
    pace = Pace(device, int(tags.get(f"{MADE}workers", 1)))

    def priced(cell: Cell) -> Cell:
        return replace(cell, pace=pace) if isinstance(cell, Measured | Missing) and cell.price else cell

    return table.replaced(priced)


def render(
    tables: Sequence[ResultsTable],
    format: Format,  # noqa: A002
    searches: Sequence[SearchResult] = (),
    tracker: Tracker | None = None,
) -> str:
    """Filled tables as one text. tracker: what the page is to tell more from than the tables hold."""
    if format == "text":
        return "\n".join(map(terminal, tables))
    if format == "md":
        return "\n".join(map(markdown.markdown, tables))
    if format == "tex":
        return latex.document(tables)
    if format == "csv":
        return export.csv_text(tables)
    if format == "json":
        return export.json_text(tables)
    if format == "html":
        known = exhibits()
        stated = [(table, known[table.name]) for table in tables if table.name in known]
        drawn = {table.name: exhibit.plot(table) for table, exhibit in stated}
        seen = {table.name: e.pictures(table, tracker) for table, e in stated} if tracker else {}
        undrawn = {t.name: e.undrawn(t) for t, e in stated if e.undrawn and not seen.get(t.name)}
        return report(tables, drawn, searches, tracker, seen=seen, undrawn=undrawn)
    raise SpecError(f"format must be one of {', '.join(get_args(Format))}, got {format!r}.")


def build(
    names: Sequence[str],
    tracker: Tracker,
    sweeps: Mapping[str, Sweep],
    format: Format,  # noqa: A002
    out: Path,
) -> list[Path]:
    """Write the exhibits into the folder `out` and return the files.

    That is one file each, or for html one page, `report.html`, with all of them and every Search among the
    sweeps; for tex also `tables.tex`, which takes them in. `colophon.json` says what they were made from.
    Raises what `assemble` raises, and RecordError for a colophon there that is none.
    """
    before = Colophon.of(out)
    witness = Witness(tracker)
    reading = cast(Tracker, witness)
    tables = assemble(names, reading, sweeps)
    files = written(tables, format, searched(reading, sweeps) if format == "html" else (), reading)
    made = Colophon(
        scale=next((sweep.scale for sweep in sweeps.values()), ""),
        files={name: Written(format, holds) for name, (holds, _) in files.items()},
        snapshot=witness.snapshot(),
    )
    out.mkdir(parents=True, exist_ok=True)
    texts = {name: text for name, (_, text) in files.items()} | {FILE: made.beside(before).text()}
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    return [out / name for name in files]


def written(
    tables: Sequence[ResultsTable],
    format: Format,  # noqa: A002
    searches: Sequence[SearchResult] = (),
    tracker: Tracker | None = None,
) -> dict[str, tuple[tuple[str, ...], str]]:
    """File name -> the exhibits in it and its text."""
    names = tuple(table.name for table in tables)
    if format == "html":
        return {PAGE: (names, render(tables, format, searches, tracker))}
    if format == "tex":
        texts = {f"{table.name}.tex": ((table.name,), latex.latex(table)) for table in tables}
        return texts | {latex.DOCUMENT: (names, latex.document(tables, inputs=True))}
    suffix = _SUFFIX.get(format, format)
    return {f"{table.name}.{suffix}": ((table.name,), render([table], format)) for table in tables}


def searched(tracker: Tracker, sweeps: Mapping[str, Sweep]) -> list[SearchResult]:
    """What the record holds of every Search among the sweeps."""
    results = []
    for search in sweeps.values():
        if isinstance(search, Search):
            tried = tracker.runs(tags={membership(search.name, search.scale): None})
            results.append(search_result(search, tried))
    return results


def _find(name: str) -> Exhibit:
    known = exhibits()
    if name not in known:
        raise UnknownName.among("table", name, known)
    return known[name]


def _ablation(exhibit: Exhibit, sweeps: Mapping[str, Sweep]) -> Ablation:
    sweep = sweeps.get(exhibit.sweep)
    if not isinstance(sweep, Ablation):
        raise UnknownName.among(f"ablation for {exhibit.name}", exhibit.sweep, sweeps)
    return sweep

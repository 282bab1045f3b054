"""Whether tables are what the record says.

Three things are compared: a folder's files with what its colophon gives, the colophon's runs with those on
record, and what is on record of every run with the chain that was closed with it. Whoever alters one of them
leaves the others, and the cell that rests on it is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from lab.errors import RecordError
from lab.sweep import Sweep
from lab.tracking.tracker import Tracker
from pipelines.tables.archive import Archive
from pipelines.tables.build import PAGE, SUFFIXES, Format, assemble, exhibits, searched, written
from pipelines.tables.cell import Measured
from pipelines.tables.colophon import FILE, Colophon
from pipelines.tables.faults import Fault, Texts, altered, following, lost, outdated, rewritten, unchained
from pipelines.tables.latex import DOCUMENT
from pipelines.tables.table import ResultsTable


@dataclass(frozen=True)
class Verification:
    """cells: that rest on runs · faults: what is not as it should be · without_chain: runs that were made
    before one was kept, or whose chain is not there"""

    cells: int
    faults: tuple[Fault, ...]
    without_chain: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """files of a folder that no colophon could name, so that nothing is said of them"""


def verify_record(names: Sequence[str], tracker: Tracker, sweeps: Mapping[str, Sweep]) -> Verification:
    """The runs of these exhibits with their chains; nothing that was written is looked at."""
    tables = assemble(names, tracker, sweeps)
    faults, without = unchained(tables, tracker)
    return Verification(_cells(tables), tuple(faults), tuple(without))


def verify_folder(folder: Path, tracker: Tracker, sweeps: Mapping[str, Sweep]) -> Verification:
    """What `lab tables --out` wrote there, with the record. Raises RecordError where there is no colophon."""
    colophon = Colophon.of(folder)
    if colophon is None:
        raise RecordError(f"{folder} has no {FILE}: make the tables with `lab tables --out {folder}`.")
    snapshot = cast(Tracker, colophon.snapshot)
    then, now = (assemble(colophon.names, source, sweeps) for source in (snapshot, tracker))

    def read(name: str) -> str | None:
        path = folder / name
        return path.read_bytes().decode(errors="replace") if path.is_file() else None

    faults, without = unchained(now, tracker)
    expected = texts(colophon, then, sweeps)
    found = [
        *outdated(then, now),
        *rewritten(then, snapshot, tracker),
        *faults,
        *_unknown(colophon, expected),
    ]
    unnamed = sorted(path.name for path in folder.iterdir() if path.name not in {FILE, *colophon.files})
    ours = [name for name in unnamed if _could_be_ours(name)]
    found += [
        Fault(None, f"{name} is there, but {FILE} does not name it: nothing says what it was made from")
        for name in ours
    ]
    others = tuple(name for name in unnamed if name not in ours)
    return Verification(_cells(then), (*found, *altered(expected, read, then)), tuple(without), others)


def verify_archive(archive: Archive, sweeps: Mapping[str, Sweep]) -> Verification:
    """What `lab pack` wrote: its files with its runs, and its runs with their chains."""
    snapshot = cast(Tracker, archive.colophon.snapshot)
    tables = assemble(archive.colophon.names, snapshot, sweeps)
    damaged = [Fault(None, why) for why in archive.damage()]
    faults, without = unchained(tables, snapshot)
    expected = texts(archive.colophon, tables, sweeps)
    named = {f"tables/{name}" for name in archive.colophon.files}
    damaged += [
        Fault(None, f"{member} is there, but {FILE} does not name it")
        for member in sorted(archive.members)
        if member.startswith("tables/") and member not in named
    ]
    record = [*faults, *lost(tables, archive.runs, snapshot)]
    written_otherwise = following(altered(expected, archive.table, tables), record)
    odd = [*damaged, *_unknown(archive.colophon, expected), *record, *written_otherwise]
    return Verification(_cells(tables), tuple(odd), tuple(without))


def texts(colophon: Colophon, tables: Sequence[ResultsTable], sweeps: Mapping[str, Sweep]) -> Texts:
    """File name -> the exhibits in it, its format and what should be in it, by the colophon."""
    known = {table.name: table for table in tables}
    snapshot = cast(Tracker, colophon.snapshot)
    searches = searched(snapshot, sweeps)
    expected = {}
    for file, made in colophon.files.items():
        form = cast(Format, made.form)
        of = written([known[name] for name in made.names], form, searches if form == "html" else (), snapshot)
        if file in of:
            expected[file] = (made.names, made.form, of[file][1])
    return expected


def _could_be_ours(name: str) -> bool:
    """Whether `lab tables --out` writes files of that name, figures aside: those are in no colophon."""
    exhibit, _, suffix = name.rpartition(".")
    return name in (PAGE, DOCUMENT) or (exhibit in exhibits() and suffix in SUFFIXES)


def _unknown(colophon: Colophon, expected: Texts) -> Iterator[Fault]:
    """The files of a colophon that its exhibits and formats do not make, so that nothing can be compared."""
    for file in sorted(colophon.files.keys() - expected.keys()):
        made = colophon.files[file]
        of = ", ".join(made.names) or "no exhibit"
        yield Fault(None, f"{file} is said to be {of} as {made.form}, which would not be called so")


def _cells(tables: Sequence[ResultsTable]) -> int:
    return sum(isinstance(cell, Measured) for table in tables for _, _, cell in table.cells())

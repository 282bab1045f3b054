"""`lab verify` and `lab pack`: whether tables are what the record says, and one file to take both away in."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from lab import catalog
from lab.commands.tables import kept, record, require_known, sweeps_of
from lab.errors import LabError
from lab.quantity import quantity
from lab.search import replay

SHOWN = 5
"""runs without a chain that are named"""


def verify(arguments: argparse.Namespace) -> int:
    """Compare a folder of tables, an archive, or the runs of exhibits with the record; 1 where they
    differ. Where nothing is named, that is all exhibits and searches."""
    shelf = catalog.package("tables")
    places = arguments.places
    if len(places) == 1 and (place := Path(places[0])).exists():
        colophon = kept(place)
        sweeps = sweeps_of(colophon.names, colophon.scale)
        if place.is_file():
            return told(shelf.verify_archive(shelf.Archive.open(place), sweeps), f"{place}")
        return told(shelf.verify_folder(place, record(), sweeps), f"{place} and the record")
    names = places or sorted(shelf.exhibits())
    for name in names:
        if name not in shelf.exhibits() and ("/" in name or Path(name).suffix):
            raise LabError(f"there is no folder and no archive {name!r}: `lab verify` looks at the record.")
    require_known(names)
    found = shelf.verify_record(names, record(), sweeps_of(names, arguments.scale))
    if not (found.cells or found.faults):
        what = "of these tables" if places else "of the tables"
        print(f"nothing {what} has been run at {arguments.scale} scale, so there is nothing to verify.")
        return 0 if places else derived(arguments.scale)
    as_recorded = told(found, "the record and the chains of its runs")
    return as_recorded if places else max(as_recorded, derived(arguments.scale))


def derived(scale: str) -> int:
    """Suggest the trials of all searches on record again; 1 where one would not be what it is."""
    made = {name: partial(catalog.sweep, name, scale) for name in catalog.sweeps()}
    again = list(replay.verify(record(), made))
    for search in again:
        print(search.line())
    return int(not all(search.verified for search in again))


def told(found: Any, where: str) -> int:
    """Print what was found; 1 where something was."""
    for fault in found.faults:
        print(fault)
    if found.without_chain:
        some = ", ".join(found.without_chain[:SHOWN])
        more = ", ..." if len(found.without_chain) > SHOWN else ""
        print(f"{quantity(len(found.without_chain), 'run')} without a chain to compare: {some}{more}")
    if found.others:
        print(f"not looked at, since no table is called so: {', '.join(found.others)}")
    if found.faults:
        cells = {str(fault.place) for fault in found.faults if fault.place}
        print(f"{len(found.faults)} faults in {where}, in {len(cells)} cells.")
        return 1
    print(f"{where}: {found.cells} measured cells are as they were made.")
    return 0


def pack(arguments: argparse.Namespace) -> None:
    """Write the archive, and say how to use it."""
    shelf = catalog.package("tables")
    out, scale, tracker, made_with = Path(arguments.out), arguments.scale, None, None
    names = arguments.names or sorted(shelf.exhibits())
    if out.suffix != ".zip":
        raise LabError(f"the archive is a zip: call it {out.name}.zip, got {out}.")
    if arguments.source:
        archive = shelf.Archive.open(Path(arguments.source))
        scale, tracker, made_with = archive.colophon.scale, archive.colophon.snapshot, archive.made_with
        names = arguments.names or archive.colophon.names
    require_known(names)
    try:
        colophon = shelf.pack(out, names, tracker or record(), sweeps_of(names, scale), made_with)
    except OSError as fault:
        raise LabError(f"{out}: cannot be written ({fault.strerror or fault}).") from None
    size = out.stat().st_size / 1e6
    exhibits, runs = quantity(len(colophon.names), "exhibit"), quantity(len(colophon.snapshot.held), "run")
    print(f"{out}: {exhibits} over {runs}, {size:.2f} MB")
    print(f"`lab tables --from {out}` makes the tables again anywhere; `lab verify {out}` checks them.")

"""`lab tables` and `lab runs`: read the record. Nothing is trained by either."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab import catalog
from lab.errors import LabError, SpecError, UnknownName
from lab.quantity import quantity
from lab.settings import Settings
from lab.sweep import Search, Sweep
from lab.tracking.lease import this_process
from lab.tracking.tracker import Status, Tracker

DRAWINGS = ("svg", "png")


def tables(arguments: argparse.Namespace) -> None:
    """Print the exhibits, or write them into a folder."""
    _require_place(arguments)
    shelf = catalog.package("tables")
    scale, tracker = arguments.scale, None
    if arguments.log and (arguments.source or not arguments.out):
        raise SpecError(
            "--log keeps written files with the record: give a folder, --out FOLDER, and no --from."
        )
    names = arguments.names or sorted(shelf.exhibits())
    if arguments.source:
        colophon = kept(Path(arguments.source))
        scale, tracker, names = colophon.scale, colophon.snapshot, arguments.names or colophon.names
    require_known(names)
    sweeps = sweeps_of(names, scale)
    tracker = tracker or record()
    if arguments.out:
        written = _written(arguments, names, tracker, sweeps)
        print(*written, sep="\n")
        if arguments.log:
            print(f"kept with run {keep(tracker, scale, written)} of the record")
    else:
        filled = shelf.assemble(names, tracker, sweeps)
        searched = shelf.searched(tracker, sweeps) if arguments.format == "html" else ()
        print(shelf.render(filled, arguments.format, searched, tracker), end="")


def _written(
    arguments: argparse.Namespace, names: Sequence[str], tracker: Any, sweeps: Mapping[str, Sweep]
) -> Sequence[Path]:
    """The files, figures or tables. Raises LabError where they cannot be written."""
    shelf, out = catalog.package("tables"), Path(arguments.out)
    try:
        if arguments.format not in DRAWINGS:
            return list(shelf.build(names, tracker, sweeps, arguments.format, out))
        filled = shelf.assemble(names, tracker, sweeps)
        return list(shelf.draw(filled, tracker, Settings.load(), arguments.format, out))
    except OSError as fault:
        raise LabError(f"--out {out}: cannot be written ({fault.strerror or fault}).") from None


def _require_place(arguments: argparse.Namespace) -> None:
    """Refuse what has nowhere to go, before anything is read. Raises SpecError."""
    again = " ".join(["lab tables", *arguments.names, "--format", arguments.format, "--out report"])
    if arguments.out and Path(arguments.out).exists() and not Path(arguments.out).is_dir():
        raise SpecError(f"--out {arguments.out} is a file: give a folder, which is made where there is none.")
    if arguments.out is None and arguments.format in DRAWINGS:
        raise SpecError(f"{arguments.format} is written into files, give a folder: `{again}`.")
    if arguments.out is None and arguments.format == "html" and sys.stdout.isatty():
        raise SpecError(f"a page is for a browser, not for a terminal: `{again}`.")


def require_known(names: Collection[str]) -> None:
    """Raises UnknownName for what is no table, with what it is instead or the near miss."""
    known = catalog.package("tables").exhibits()
    for name in names:
        if name in catalog.sweeps() and name not in known:
            filled = ", ".join(sorted(table for table, exhibit in known.items() if exhibit.sweep == name))
            searched = f"a page shows searches, `lab tables --format html`; so does `lab why {name}`"
            raise UnknownName(
                f"{name!r} is a sweep and no table: {f'it fills {filled}' if filled else searched}."
            )
        if name not in known:
            raise UnknownName.among("table", name, known, hint=" `lab list tables` says what each holds.")


def sweeps_of(names: Collection[str], scale: str) -> Mapping[str, Sweep]:
    """Name -> the sweep that fills one of these exhibits, and every search, at a scale."""
    exhibits = catalog.package("tables").exhibits()
    wanted = {exhibits[name].sweep for name in names if name in exhibits}
    at = catalog.find_scale(scale)
    made = {name: make(at) for name, make in catalog.sweeps().items()}
    return {name: sweep for name, sweep in made.items() if name in wanted or isinstance(sweep, Search)}


def keep(tracker: Tracker, scale: str, written: Sequence[Path]) -> str:
    """Attach files to the one run `report` that the record has for a scale, and return its id; what was kept
    under these names before is replaced. Raises RunTaken."""
    run = tracker.group("report", kind="report", scale=scale, owner=this_process())
    for path in written:
        tracker.attach(run.run_id, path)
    tracker.end(run.run_id, Status.COMPLETE, owner=this_process())
    return run.run_id


def record() -> Any:
    """The record that the environment names."""
    from lab.tracking.mlflow import MlflowTracker

    return MlflowTracker(Settings.load())


def kept(place: Path) -> Any:
    """The colophon of an archive of `lab pack`, or of a folder of `lab tables --out`. Raises SpecError."""
    shelf = catalog.package("tables")
    if not place.exists():
        raise SpecError(f"there is no {place}: name an archive of `lab pack` or a folder of `lab tables`.")
    if place.is_file():
        return shelf.Archive.open(place).colophon
    colophon = shelf.Colophon.of(place)
    if colophon is None:
        raise SpecError(f"{place} is neither an archive of `lab pack` nor a folder of `lab tables --out`.")
    return colophon


def runs(arguments: argparse.Namespace) -> None:
    """One line per run of an experiment."""
    tracker = record()
    tracker.reconcile()
    found = [
        run
        for run in tracker.runs()
        if arguments.status in (None, run.status) and arguments.sweep in {None, *run.sweeps}
    ]
    for run in found:
        metric = next(
            (f"{m} {run.metrics[m]:.4f}" for m in ("test/top1", "validation/top1") if m in run.metrics), ""
        )
        print(f"{run.digest}  {run.status:9} seed {run.seed}  {run.seconds:6.0f} s  {metric:22} {run.name}")
    print(f"{quantity(len(found), 'run')} in {tracker.summary()['tracking']}")

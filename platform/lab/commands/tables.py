"""`lab tables` and `lab runs`: read the record. Nothing is trained by either."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab import catalog
from lab.errors import LabError, SpecError
from lab.settings import Settings
from lab.sweep import Search, Sweep
from lab.tracking.lease import this_process
from lab.tracking.tracker import Status, Tracker


def tables(arguments: argparse.Namespace) -> None:
    """Print the exhibits, or write them into a folder."""
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
    sweeps = sweeps_of(names, scale)
    tracker = tracker or record()
    if arguments.format in shelf.DRAWINGS:
        if not arguments.out:
            raise SpecError(f"{arguments.format} is written into files: give a folder, --out FOLDER.")
        filled = shelf.assemble(names, tracker, sweeps)
        out = Path(arguments.out)
        print(*shelf.draw(filled, tracker, Settings.load(), arguments.format, out), sep="\n")
    elif arguments.out:
        try:
            written = shelf.build(names, tracker, sweeps, arguments.format, Path(arguments.out))
        except OSError as fault:
            raise LabError(f"--out {arguments.out}: cannot be written ({fault.strerror or fault}).") from None
        print(*written, sep="\n")
        if arguments.log:
            print(f"kept with run {keep(tracker, scale, written)} of the record")
    else:
        filled = shelf.assemble(names, tracker, sweeps)
        searched = shelf.searched(tracker, sweeps) if arguments.format == "html" else ()
        print(shelf.render(filled, arguments.format, searched, tracker), end="")


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
    print(f"{len(found)} {'run' if len(found) == 1 else 'runs'} in {tracker.summary()['tracking']}")

"""`lab tables` and `lab runs`: read the record. Nothing is trained by either."""

from __future__ import annotations

import argparse
from pathlib import Path

from lab import catalog
from lab.errors import LabError
from lab.settings import Settings
from lab.sweep import Search


def tables(arguments: argparse.Namespace) -> None:
    """Print the exhibits, or write them into a folder."""
    from lab.tracking.mlflow import MlflowTracker

    shelf = catalog.package("tables")
    exhibits = shelf.exhibits()
    names = arguments.names or sorted(exhibits)
    wanted = {exhibits[name].sweep for name in names if name in exhibits}
    scale = catalog.find_scale(arguments.scale)
    sweeps = {name: make(scale) for name, make in catalog.sweeps().items()}
    sweeps = {name: sweep for name, sweep in sweeps.items() if name in wanted or isinstance(sweep, Search)}
    tracker = MlflowTracker(Settings.load())
    if arguments.out:
        try:
            written = shelf.build(names, tracker, sweeps, arguments.format, Path(arguments.out))
        except OSError as fault:
            raise LabError(f"--out {arguments.out}: cannot be written ({fault.strerror or fault}).") from None
        print(*written, sep="\n")
    else:
        filled = shelf.assemble(names, tracker, sweeps)
        searched = shelf.searched(tracker, sweeps) if arguments.format == "html" else ()
        print(shelf.render(filled, arguments.format, searched), end="")


def runs(arguments: argparse.Namespace) -> None:
    """One line per run of an experiment."""
    from lab.tracking.mlflow import MlflowTracker

    tracker = MlflowTracker(Settings.load())
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
    print(f"{len(found)} runs in {tracker.summary()['tracking']}")

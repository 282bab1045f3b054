"""Where a trained model looks: as its run has kept it, else by the weights of its checkpoint."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from lab import ExperimentSpec, Settings
from lab.tracking.tracker import Tracker
from lab.train.checkpoint import CheckpointStore
from lab.train.sights import FILE, drawn, sights
from lab.train.state import Training
from pipelines.tables.cell import Measured
from pipelines.tables.plots import Panel
from pipelines.tables.table import ResultsTable

PICTURE = re.compile(
    r'<image href="data:image/png;base64,([A-Za-z0-9+/]+={0,2})" x="[\d.]+" y="([\d.]+)" width="[\d.]+" '
    r'height="[\d.]+" image-rendering="pixelated"/>'
)
"""as `lab.train.sights` writes it: nothing else of the file comes to a page"""


def recorded(cell: Measured, tracker: Tracker) -> list[Panel]:
    """The maps that the first seed has kept of those on record, in one panel; none where none has. Raises
    TrackingUnreachable."""
    for reading in cell.readings:
        rows = pictures(tracker.text(reading.run_id, FILE) or "")
        if rows:
            return [panel(reading.digest, reading.seed, cell, rows)]
    return []


def by_weights(cell: Measured, settings: Settings) -> list[Panel]:
    """The same by the newest checkpoint of the first seed that has one. Raises MissingDataset."""
    for spec in _specs(cell):
        rows = pictures(seen(spec, settings))
        if rows:
            return [panel(spec.digest, spec.seed, cell, rows)]
    return []


def seen(spec: ExperimentSpec, settings: Settings) -> str:
    """What a run of `spec` would have kept, by its newest checkpoint; empty without one."""
    checkpoint = CheckpointStore(settings.storage, spec.digest).latest()
    if checkpoint is None:
        return ""
    training = Training.begin(spec, torch.device("cpu"))
    training.restore(checkpoint)
    return sights(spec, training.model, spec.data.open(settings.data))


def keep_maps(tables: Iterable[ResultsTable], tracker: Tracker, settings: Settings) -> list[str]:
    """Put the maps with runs of these cells that kept none and whose weights are there; say which.

    Raises MissingDataset, TrackingUnreachable.
    """
    added = []
    measured = [cell for table in tables for _, _, cell in table.cells() if isinstance(cell, Measured)]
    for cell in measured:
        for spec in _specs(cell):
            (run_id,) = [r.run_id for r in cell.readings if r.seed == spec.seed]
            if not tracker.text(run_id, FILE) and (drawing := seen(spec, settings)):
                with TemporaryDirectory() as folder:
                    file = Path(folder, FILE)
                    file.write_text(drawing, encoding="utf-8")
                    tracker.attach(run_id, file)
                added.append(run_id)
    return added


def pictures(drawing: str) -> list[list[bytes]]:
    """The PNG files in what a run has kept, row by row; empty where it is no such drawing."""
    rows: dict[str, list[bytes]] = {}
    for data, y in PICTURE.findall(drawing):
        rows.setdefault(y, []).append(b64decode(data))
    return list(rows.values())


def panel(digest: str, seed: int, cell: Measured, rows: list[list[bytes]]) -> Panel:
    """The rows drawn anew, under what they are of."""
    where = f"{cell.measurement.scale} scale, seed {seed}"
    title = f"Attention maps of {cell.measurement.case} on {cell.measurement.specs[0].data.name}, {where}"
    return Panel(title, drawn(f"{title}, specification {digest}", rows))


def _specs(cell: Measured) -> list[ExperimentSpec]:
    """Of the runs that are on record as they are specified now."""
    held = {reading.digest for reading in cell.readings}
    return [spec for spec in cell.measurement.specs if spec.digest in held]

"""Figures as files: every drawing of the exhibits, standing alone, as SVG or PNG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Literal

from lab import Settings
from lab.tracking.tracker import Tracker
from pipelines.tables import svg
from pipelines.tables.attention import by_weights
from pipelines.tables.build import exhibits
from pipelines.tables.cell import Measured
from pipelines.tables.histories import training
from pipelines.tables.plots import Panel
from pipelines.tables.table import ResultsTable

Drawing = Literal["svg", "png"]
DRAWINGS: tuple[Drawing, ...] = ("svg", "png")
FONT = "system-ui, 'Helvetica Neue', Arial, sans-serif"


def draw(
    tables: Sequence[ResultsTable], tracker: Tracker, settings: Settings, drawing: Drawing, out: Path
) -> list[Path]:
    """Write the drawings of filled exhibits into the folder `out`, `figure5.3.svg`, and return the files."""
    out.mkdir(parents=True, exist_ok=True)
    files = []
    for table in tables:
        for number, panel in enumerate(panels(table, tracker, settings), start=1):
            path = out / f"{table.name}.{number}.{drawing}"
            path.write_bytes(rastered(panel) if drawing == "png" else alone(panel).encode())
            files.append(path)
    return files


def rastered(panel: Panel) -> bytes:
    """A drawing as a PNG file."""
    # Matplotlib takes longer to import than all of the tables.
    from pipelines.tables.raster import png

    return png(panel.drawing)


def panels(table: ResultsTable, tracker: Tracker, settings: Settings) -> list[Panel]:
    """All drawings of a filled exhibit: of its cells, of how its runs trained, of what its models see."""
    exhibit = exhibits()[table.name]
    seen = exhibit.pictures(table, tracker)
    if exhibit.undrawn and not seen:
        cells = (cell for _, _, cell in table.cells() if isinstance(cell, Measured))
        seen = next((maps for cell in cells if (maps := by_weights(cell, settings))), [])
    return exhibit.plot(table) + training(table, tracker) + seen


def alone(panel: Panel) -> str:
    """A drawing as a file of its own, with its style, on light paper, and its title for who cannot see it."""
    style = re.sub(r"\s+", " ", svg.STYLE.read_text(encoding="utf-8")).strip()
    opening, _, rest = panel.drawing.partition(">")
    paper = '<rect width="100%" height="100%" style="fill:var(--paper)"/>'
    return (
        f'{opening} font-family="{escape(FONT)}"><title>{escape(panel.title)}</title><style>{style}</style>'
        f"{paper}{rest}\n"
    )

"""Training curves of an exhibit: what was measured while its rows trained, the mean over their seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lab.tracking.tracker import Tracker
from pipelines.tables import svg
from pipelines.tables.cell import Measured
from pipelines.tables.plots import HEIGHT, WIDTH, Panel, names_at
from pipelines.tables.select import Curve
from pipelines.tables.svg import Scale
from pipelines.tables.table import ResultsTable

TOP, BOTTOM, LEFT = 24.0, 40.0, 40.0


def training(table: ResultsTable, tracker: Tracker) -> list[Panel]:
    """One drawing for each metric on the validation split that the table asks of any split, with a line for
    every row that has runs; none where nothing was recorded. Raises TrackingUnreachable."""
    asked = {m.metric.partition("/")[2] for m in table.measurements()}
    panels = []
    for metric in (f"validation/{name}" for name in sorted(asked)):
        series = {}
        for row in table.rows:
            runs = {r.run_id for cell in row.cells if isinstance(cell, Measured) for r in cell.readings}
            curve = mean([tracker.history(run, metric) for run in sorted(runs)])
            if len(curve) > 1:
                series[row.label] = curve
        if series:
            title = f"Training, {metric}. {table.scale.capitalize()} scale"
            panels.append(Panel(title, drawn(f"{table.title}. {title}", series)))
    return panels


def mean(curves: Sequence[Curve]) -> Curve:
    """The mean at the steps that all curves have, in percent; one that diverged is left out from there on."""
    by_step = [{step: value for step, value in curve if math.isfinite(value)} for curve in curves if curve]
    shared = sorted(set.intersection(*map(set, by_step))) if by_step else []
    return [(step, 100 * math.fsum(of[step] for of in by_step) / len(by_step)) for step in shared]


def drawn(name: str, series: Mapping[str, Curve]) -> str:
    """Lines over steps, told apart by dash and by their names at the end."""
    room = 6.3 * max(map(len, series)) + 8
    width = WIDTH + room
    points = [point for curve in series.values() for point in curve]
    x = Scale(0, max(step for step, _ in points), LEFT + 6, WIDTH - 14)
    y = Scale(*svg.padded([value for _, value in points]), HEIGHT - BOTTOM, TOP)
    parts = [svg.text("%", LEFT - 6, TOP - 10, "end", "tick")]
    for tick in y.ticks:
        parts.append(svg.line((LEFT, y(tick)), (WIDTH - 8, y(tick)), "grid"))
        parts.append(svg.text(f"{tick:g}", LEFT - 6, y(tick) + 3.5, "end", "tick"))
    for tick in x.ticks:
        parts.append(svg.text(f"{tick:,.0f}", x(tick), HEIGHT - BOTTOM + 18, "middle", "tick"))
    parts.append(svg.text("optimizer steps", (x(0) + x(x.high)) / 2, HEIGHT - 4, "middle", "tick"))
    ends = {}
    for index, (label, curve) in enumerate(series.items()):
        at = [(x(step), y(value)) for step, value in curve]
        parts.append(svg.polyline(at, f"curve s{index % svg.SERIES + 1}"))
        parts.append(svg.mark(at[-1], index, size=3))
        ends[label] = at[-1]
    return svg.drawing(width, HEIGHT, name, *parts, *names_at(ends))

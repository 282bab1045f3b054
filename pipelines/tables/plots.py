"""The figures of the exhibits: ours in one panel, the paper's in another with an axis of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipelines.tables import svg
from pipelines.tables.cell import Cell, Measured, Stage
from pipelines.tables.paper import Quoted
from pipelines.tables.svg import Scale
from pipelines.tables.table import ResultsTable

WIDTH = 340.0


@dataclass(frozen=True)
class Panel:
    """One drawing and what stands above it."""

    title: str
    drawing: str


@dataclass(frozen=True)
class Point:
    """A value in percent with its interval, if it has one; `partial` while its cell is not complete."""

    value: float
    low: float | None = None
    high: float | None = None
    partial: bool = False

    @property
    def reach(self) -> tuple[float, ...]:
        return (self.value, *(end for end in (self.low, self.high) if end is not None))


def bars(table: ResultsTable, columns: tuple[str, str]) -> list[Panel]:
    """Two bars per row, the first column solid and the second hatched, with intervals."""
    titles = [column.title for key in columns for column in table.columns if column.key == key]
    panels = []
    for side, title in _sides(table):
        groups = [
            (row.label, [_point(table.cell(row.label, key), side) for key in columns]) for row in table.rows
        ]
        known = [(label, points) for label, points in groups if any(points)]
        if known:
            identity = f"hatch-{table.name}-{side}"
            panels.append(Panel(title, _bar_chart(f"{table.title}, {title}", titles, known, identity)))
    return panels


def curves(
    table: ResultsTable, column: str, axis: str, series: Mapping[str, Mapping[int, str]]
) -> list[Panel]:
    """Accuracy against a number, one curve per series; `series` names the row of every number."""
    numbers = sorted({number for rows in series.values() for number in rows})
    panels = []
    for side, title in _sides(table):
        drawn = {
            name: {
                n: point for n, label in rows.items() if (point := _point(table.cell(label, column), side))
            }
            for name, rows in series.items()
        }
        if any(drawn.values()):
            panels.append(Panel(title, _line_chart(f"{table.title}, {title}", axis, numbers, drawn)))
    return panels


def _sides(table: ResultsTable) -> tuple[tuple[str, str], ...]:
    return ("ours", f"Ours, {table.scale} scale: {table.setting.partition(',')[0]}"), (
        "paper",
        "The paper: ImageNet",
    )


def _point(cell: Cell, side: str) -> Point | None:
    if side == "paper":
        paper = cell if isinstance(cell, Quoted) else cell.paper
        return Point(paper.value) if paper and paper.value is not None else None
    if not isinstance(cell, Measured):
        return None
    estimate = cell.estimate
    return Point(estimate.mean, estimate.low, estimate.high, cell.state.stage is not Stage.COMPLETE)


def _bar_chart(
    name: str, legend: Sequence[str], groups: Sequence[tuple[str, list[Point | None]]], identity: str
) -> str:
    left, top, pitch, thick = 4.0, 34.0, 52.0, 11.0
    height = top + pitch * len(groups) + 22
    x = Scale(0, 100, left, WIDTH - 44)
    parts = [svg.hatch(identity, 1), *_legend(legend, identity)]
    for tick in (0, 25, 50, 75, 100):
        parts.append(svg.line((x(tick), top - 4), (x(tick), height - 18), "grid"))
        parts.append(svg.text(f"{tick}", x(tick), height - 5, "start" if tick == 0 else "middle", "tick"))
    parts.append(svg.text("%", x(100) + 14, height - 5, "start", "tick"))
    for index, (label, points) in enumerate(groups):
        y = top + index * pitch
        parts.append(svg.text(label, left, y + 12, class_="label"))
        for series, point in enumerate(points):
            if point is not None:
                parts += _bar(point, series, x, y + 18 + series * (thick + 2), thick=thick, identity=identity)
    return svg.drawing(WIDTH, height, name, *parts)


def _bar(point: Point, series: int, x: Scale, y: float, *, thick: float, identity: str) -> Iterable[str]:
    fill = f"url(#{identity})" if series else None
    classes = f"bar s{series + 1}" + (" hatched" if series else "") + (" partial" if point.partial else "")
    yield svg.element(
        "rect", x=x(0), y=y, width=x(point.value) - x(0), height=thick, class_=classes, fill=fill
    )
    end = x(point.value)
    if point.low is not None and point.high is not None:
        low, high = x(max(0.0, point.low)), x(min(100.0, point.high))
        yield svg.whisker((low, y + thick / 2), (high, y + thick / 2))
        end = max(end, high)
    yield svg.text(
        f"{point.value:.1f}" + ("*" if point.partial else ""), end + 6, y + thick - 1.5, class_="value"
    )


def _line_chart(
    name: str, axis: str, numbers: Sequence[int], series: Mapping[str, Mapping[int, Point]]
) -> str:
    height, top, bottom = 250.0, 34.0, 40.0
    reach = [value for points in series.values() for point in points.values() for value in point.reach]
    low, high = svg.padded(reach)
    y = Scale(max(0.0, low), min(100.0, high), height - bottom, top)
    x = Scale(0, max(1, len(numbers) - 1), 52, WIDTH - 22)
    parts = list(_legend(list(series), None))
    for tick in y.ticks:
        parts.append(svg.line((36, y(tick)), (WIDTH - 6, y(tick)), "grid"))
        parts.append(svg.text(f"{tick:g}", 30, y(tick) + 3.5, "end", "tick"))
    parts.append(svg.text("%", 30, top - 8, "end", "tick"))
    for place, number in enumerate(numbers):
        parts.append(svg.text(str(number), x(place), height - bottom + 18, "middle", "tick"))
    parts.append(svg.text(axis, (x(0) + x(len(numbers) - 1)) / 2, height - 4, "middle", "tick"))
    for index, points in enumerate(series.values()):
        shift = (index - (len(series) - 1) / 2) * 7  # so that intervals of two series do not hide each other
        at = {n: (x(numbers.index(n)) + shift, y(point.value)) for n, point in sorted(points.items())}
        parts.append(svg.polyline(list(at.values()), f"curve s{index + 1}"))
        for number, (px, py) in at.items():
            point = points[number]
            if point.low is not None and point.high is not None:
                parts.append(svg.whisker((px, y(max(y.low, point.low))), (px, y(min(y.high, point.high)))))
            parts.append(svg.mark((px, py), index, "partial" if point.partial else ""))
    return svg.drawing(WIDTH, height, name, *parts)


def _legend(names: Sequence[str], identity: str | None) -> Iterable[str]:
    """Bars are shown as swatches, curves (no `identity`) as a piece of line with its mark."""
    x = 4.0 if identity else 40.0
    for index, name in enumerate(names):
        if identity:
            fill = f"url(#{identity})" if index else None
            classes = f"bar s{index + 1}" + (" hatched" if index else "")
            yield svg.element("rect", x=x, y=6, width=18, height=10, class_=classes, fill=fill)
        else:
            yield svg.polyline([(x, 11), (x + 22, 11)], f"curve s{index + 1}")
            yield svg.mark((x + 11, 11), index)
        yield svg.text(name, x + 28, 15, class_="label")
        x += 28 + 7 * len(name) + 18

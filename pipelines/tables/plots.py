"""The figures of the exhibits: ours in one panel, the paper's in another with an axis of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipelines.tables import svg
from pipelines.tables.cell import Cell, Counted, Measured, Stage, short
from pipelines.tables.paper import Quoted
from pipelines.tables.svg import Scale
from pipelines.tables.table import ResultsTable

WIDTH, HEIGHT = 340.0, 250.0
TOP, BOTTOM = 34.0, 40.0
"""room above and below what is drawn"""


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


def bars(table: ResultsTable, columns: tuple[str, ...], rows: Sequence[str] = ()) -> list[Panel]:
    """One bar or two per row, the first column solid and the second hatched, with intervals.

    rows: those that are drawn; all of them where none is named.
    """
    titles = [column.title for key in columns for column in table.columns if column.key == key]
    panels = []
    for side, title in _sides(table):
        groups = [
            (row.label, [_point(table.find(row.label, key), side) for key in columns])
            for row in table.rows
            if not rows or row.label in rows
        ]
        known = [(label, points) for label, points in groups if any(points)]
        if known:
            identity = f"hatch-{table.name}-{side}"
            panels.append(Panel(title, _bar_chart(f"{table.title}, {title}", titles, known, identity)))
    return panels


def curves(
    table: ResultsTable,
    column: str,
    axis: str,
    series: Mapping[str, Mapping[int, str] | Mapping[float, str]],
    ours: Mapping[float, float] | None = None,
) -> list[Panel]:
    """Accuracy against a number, one curve per series; `series` names the row of every number.

    ours: the paper's number -> this scale's, where it is another.
    """
    numbers = sorted({number for rows in series.values() for number in rows})
    panels = []
    for side, title in _sides(table):
        drawn = {
            name: {
                n: point for n, label in rows.items() if (point := _point(table.cell(label, column), side))
            }
            for name, rows in series.items()
        }
        here = ours if ours and side == "ours" else {}
        if any(drawn.values()):
            ticks = {number: f"{here.get(number, number):g}" for number in numbers}
            panels.append(Panel(title, _line_chart(f"{table.title}, {title}", axis, ticks, drawn)))
    return panels


def against_flops(
    table: ResultsTable,
    series: Mapping[str, Sequence[str]],
    costs: Mapping[str, Callable[[], tuple[int, int]]] | None = None,
) -> list[Panel]:
    """Accuracy against forward FLOPs, a mark for each row and a line through those of a series, which names
    it; the paper's against those of its own models.

    costs: row -> what counts its model's FLOPs and the paper's; where there are none, the column `flops`.
    """
    counted = {name: count() for name, count in costs.items()} if costs else _counted(table)
    panels = []
    for side, title in _sides(table):
        drawn = {
            name: [
                (counted[label][side == "paper"], point)
                for label in rows
                if (point := _point(table.cell(label, "top1"), side))
            ]
            for name, rows in series.items()
        }
        if any(drawn.values()):
            heading = f"Against FLOPs. {title}"
            panels.append(Panel(heading, _scatter(f"{table.title}. {heading}", drawn)))
    return panels


def _sides(table: ResultsTable) -> tuple[tuple[str, str], ...]:
    return ("ours", f"Ours, {table.scale} scale: {table.setting.partition(',')[0]}"), (
        "paper",
        f"The paper: {table.stands_for}",
    )


def _counted(table: ResultsTable) -> dict[str, tuple[int, int]]:
    """Row -> FLOPs of its model and of the paper's."""
    return {
        row.label: (cell.value, cell.at_paper_scale)
        for row, column, cell in table.cells()
        if column.key == "flops" and isinstance(cell, Counted)
    }


def _point(cell: Cell | None, side: str) -> Point | None:
    if cell is None:
        return None
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
    left, top, pitch, thick = 4.0, TOP, 26.0 + 13 * len(legend), 11.0
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
    name: str, axis: str, ticks: Mapping[float, str], series: Mapping[str, Mapping[float, Point]]
) -> str:
    numbers = list(ticks)
    room = _room(series)
    x = Scale(0, max(1, len(numbers) - 1), 52, WIDTH - 22 - room)
    at = [(ticks[number], x(place)) for place, number in enumerate(numbers)]
    y, parts = _frame([p for points in series.values() for p in points.values()], axis, at)
    ends = {}
    for index, (label, points) in enumerate(series.items()):
        shift = (index - (len(series) - 1) / 2) * 7  # so that intervals of two series do not hide each other
        places = {n: (x(numbers.index(n)) + shift, y(point.value)) for n, point in sorted(points.items())}
        parts.append(svg.polyline(list(places.values()), f"curve s{index % svg.SERIES + 1}"))
        for number, place in places.items():
            parts += _marked(points[number], place, index, y)
        if places:
            ends[label] = list(places.values())[-1]
    return svg.drawing(WIDTH, HEIGHT, name, *parts, *(names_at(ends) if room else ()))


def _scatter(name: str, series: Mapping[str, Sequence[tuple[int, Point]]]) -> str:
    costs = [cost for rows in series.values() for cost, _ in rows]
    x = Scale(min(costs) / 1.3, max(costs) * 1.3, 52, WIDTH - 22 - _room(series), log=True)
    at = [(short(round(tick)), x(tick)) for tick in x.ticks]
    y, parts = _frame([p for rows in series.values() for _, p in rows], "forward FLOPs per example", at)
    ends = {}
    for index, (label, rows) in enumerate(series.items()):
        places = [(x(cost), y(point.value)) for cost, point in rows]
        if len(places) > 1:
            parts.append(svg.polyline(sorted(places), f"curve s{index % svg.SERIES + 1}"))
        for (_, point), place in zip(rows, places, strict=True):
            parts += _marked(point, place, index, y)
        if places:
            ends[label] = max(places)
    return svg.drawing(WIDTH, HEIGHT, name, *parts, *(names_at(ends) if len(series) > 1 else ()))


def _frame(points: Sequence[Point], axis: str, ticks: Sequence[tuple[str, float]]) -> tuple[Scale, list[str]]:
    """The scale of percents, and the lines and words around a chart."""
    low, high = svg.padded([value for point in points for value in point.reach])
    y = Scale(max(0.0, low), min(100.0, high), HEIGHT - BOTTOM, TOP)
    parts = []
    for tick in y.ticks:
        parts.append(svg.line((36, y(tick)), (WIDTH - 6, y(tick)), "grid"))
        parts.append(svg.text(f"{tick:g}", 30, y(tick) + 3.5, "end", "tick"))
    parts.append(svg.text("%", 30, TOP - 12, "end", "tick"))
    parts += [svg.text(label, place, HEIGHT - BOTTOM + 18, "middle", "tick") for label, place in ticks]
    middle = (ticks[0][1] + ticks[-1][1]) / 2 if ticks else WIDTH / 2
    return y, [*parts, svg.text(axis, middle, HEIGHT - 4, "middle", "tick")]


def _marked(point: Point, at: svg.Point, series: int, y: Scale) -> Iterable[str]:
    """The mark of a point and the whisker of its interval."""
    if point.low is not None and point.high is not None:
        yield svg.whisker((at[0], y(max(y.low, point.low))), (at[0], y(min(y.high, point.high))))
    yield svg.mark(at, series, "partial" if point.partial else "")


def _room(series: Mapping[str, object]) -> float:
    """Pixels on the right for the names of several series."""
    return 6.3 * max(map(len, series)) + 4 if len(series) > 1 else 0.0


def names_at(ends: Mapping[str, svg.Point]) -> Iterable[str]:
    """Every series' name at its end, moved apart where they would stand on each other."""
    lowest = 0.0
    for name, (x, y) in sorted(ends.items(), key=lambda end: end[1][1]):
        lowest = max(y + 4, lowest + 13)
        yield svg.text(name, x + 9, lowest, class_="label halo")


def _legend(names: Sequence[str], identity: str) -> Iterable[str]:
    """What a solid bar is, and what a hatched one."""
    x = 4.0
    for index, name in enumerate(names):
        fill = f"url(#{identity})" if index else None
        classes = f"bar s{index + 1}" + (" hatched" if index else "")
        yield svg.element("rect", x=x, y=6, width=18, height=10, class_=classes, fill=fill)
        yield svg.text(name, x + 24, 15, class_="label")
        x += 28 + 7 * len(name) + 18

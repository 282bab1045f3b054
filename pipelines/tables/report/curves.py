"""Learning curves of a cell: one thin line per seed, metrics told apart by hue and dash."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pipelines.tables import svg
from pipelines.tables.plots import Panel
from pipelines.tables.svg import Scale

WIDTH, HEIGHT = 300.0, 150.0
LEFT, RIGHT, TOP, BOTTOM = 38.0, 8.0, 14.0, 26.0
MOST_POINTS = 60
"""of a curve that are drawn: more would not be seen at this size"""

Curve = Sequence[tuple[int, float]]


def drawn(series: Mapping[str, Mapping[int, Curve]], unit: str) -> Panel | None:
    """metric -> seed -> curve, as one drawing; None where there is nothing to draw."""
    shown = {
        metric: {seed: thinned([(s, v) for s, v in curve if math.isfinite(v)]) for seed, curve in of.items()}
        for metric, of in series.items()
    }
    points = [point for of in shown.values() for curve in of.values() for point in curve]
    if not points:
        return None
    x = Scale(0, max(step for step, _ in points), LEFT, WIDTH - RIGHT)
    y = Scale(*svg.padded([value for _, value in points]), HEIGHT - BOTTOM, TOP)
    parts = []
    for tick in svg.round_ticks(y.low, y.high, 3):
        parts.append(svg.line((LEFT, y(tick)), (WIDTH - RIGHT, y(tick)), "grid"))
        parts.append(svg.text(f"{tick:g}", LEFT - 5, y(tick) + 3.5, "end", "tick"))
    for tick in svg.round_ticks(0, x.high, 4):
        parts.append(svg.text(f"{tick:g}", x(tick), HEIGHT - 10, "middle", "tick"))
    for place, of in enumerate(shown.values()):
        for curve in of.values():
            at = [(x(step), y(value)) for step, value in curve]
            parts.append(svg.polyline(at, f"curve thin s{place % svg.SERIES + 1}"))
    title = ", ".join(shown) + (f" ({unit})" if unit else "") + " over steps"
    seeds = max(len(of) for of in shown.values())
    name = f"{title}, {seeds} seed{'s' * (seeds > 1)}"
    return Panel(title, svg.drawing(WIDTH, HEIGHT, name, *parts))


def thinned(curve: Curve, most: int = MOST_POINTS) -> Curve:
    """Evenly chosen points of a long curve, its first and last among them."""
    if len(curve) <= most:
        return curve
    places = sorted({round(k * (len(curve) - 1) / (most - 1)) for k in range(most)})
    return [curve[place] for place in places]

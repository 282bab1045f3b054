"""The figures of a search: score against cost, each searched field by itself, and all of them in parallel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lab.search.front import front
from lab.tracking.tracker import Status
from pipelines.tables import svg
from pipelines.tables.cell import short
from pipelines.tables.plots import WIDTH, Panel
from pipelines.tables.search import SearchResult, Trial, cost_of
from pipelines.tables.svg import Scale

MOST_PLACES = 8
"""A field with more distinct values than this is drawn on a continuous axis."""


def panels(result: SearchResult) -> list[Panel]:
    """Score against what it costs with the front, one slice per searched field, and how much each of them
    decided. Empty without trials."""
    if not result.trials:
        return []
    costs = {"FLOPs per example": "flops", "parameters": "parameters"}
    if all(trial.memory is not None for trial in result.trials):
        costs["peak memory in bytes"] = "memory"
    drawn = [
        Panel(f"Score against {words}", _scatter(result, words.partition(" ")[0], cost))
        for words, cost in costs.items()
    ]
    slices = [Panel(path, _slice(result, path)) for path in result.paths]
    decided = [Panel("What decided the score", _importance(result))] if result.importance else []
    return drawn + decided + slices


def parallel(result: SearchResult) -> Panel | None:
    """One line per trial through all searched fields to its score, the best the darkest; None without any."""
    if not result.trials or not result.paths:
        return None
    axes = [_Axis.of([t.choices[path] for t in result.trials], 190, 46) for path in result.paths]
    scores = _Axis.of([t.score for t in result.trials], 190, 46, continuous=True)
    width = max(WIDTH, 110.0 * (len(axes) + 1))
    step = (width - 110) / len(axes)
    parts = []
    for rank, trial in reversed(list(enumerate(result.trials))):
        heights = [axis(trial.choices[path]) for axis, path in zip(axes, result.paths, strict=True)]
        points = [(55 + i * step, y) for i, y in enumerate([*heights, scores(trial.score)])]
        share = 1 - rank / max(1, len(result.trials) - 1)
        best = result.complete[:1] == (trial,)
        parts.append(svg.polyline(points, "thread best" if best else "thread", 0.15 + 0.85 * share))
    for i, (name, axis) in enumerate(zip([*result.paths, result.objective], [*axes, scores], strict=True)):
        x = 55 + i * step
        parts.append(svg.line((x, 40), (x, 196), "axis"))
        parts.append(svg.text(name.rpartition(".")[2], x, 14 if i % 2 else 28, "middle", "label"))
        parts += [svg.text(label, x + 5, y + 3.5, "start", "tick halo") for label, y in axis.labels]
    return Panel("All searched fields", svg.drawing(width, 206, f"{result.name}: trials in parallel", *parts))


@dataclass(frozen=True)
class _Axis:
    """Values -> pixels: by place in their order when they are few or words, else continuously."""

    places: tuple[Any, ...]
    scale: Scale

    @classmethod
    def of(cls, values: Sequence[Any], start: float, end: float, *, continuous: bool = False) -> _Axis:
        distinct = _ordered(values)
        numbers = [v for v in distinct if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) == len(distinct) and (continuous or len(distinct) > MOST_PLACES):
            log = min(numbers) > 0 and max(numbers) / min(numbers) > 20
            low, high = (
                (min(numbers), max(numbers)) if log else svg.padded(numbers, 0.0 if len(numbers) > 1 else 0.1)
            )
            return cls((), Scale(low, high, start, end, log))
        return cls(tuple(distinct), Scale(0, max(1, len(distinct) - 1), start, end))

    def __call__(self, value: Any) -> float:
        return self.scale(self.places.index(value) if self.places else value)

    @property
    def labels(self) -> list[tuple[str, float]]:
        if self.places:
            return [(_short(value), self(value)) for value in self.places]
        return [(f"{tick:g}", self.scale(tick)) for tick in self.scale.ticks]


def _scatter(result: SearchResult, axis: str, cost: str) -> str:
    costs = [cost_of(trial, cost) for trial in result.trials]
    low, high = min(costs), max(costs)
    x = Scale(low / 1.15, high * 1.15, 48, WIDTH - 14, log=True)
    ticks = [(short(round(tick)), x(tick)) for tick in x.ticks]
    labels = ticks if len(ticks) >= 2 else [(short(round(of)), x(of)) for of in sorted({low, high})]
    sign = -1 if result.maximize else 1
    kept = front([(cost_of(trial, cost), sign * trial.score) for trial in result.complete])
    edge = sorted((cost_of(result.complete[place], cost), result.complete[place].score) for place in kept)
    title = f"{result.name}: {result.objective} against {axis}"
    return _chart(result, title, labels, [x(of) for of in costs], [(x(of), score) for of, score in edge])


def _importance(result: SearchResult) -> str:
    """Two bars per field, fANOVA solid and PED-ANOVA hatched."""
    left, top, pitch = 4.0, 34.0, 40.0
    identity = f"hatch-importance-{result.name}"
    x = Scale(0, 1, left, WIDTH - 44)
    parts = [svg.hatch(identity, 1)]
    for series, name in enumerate(("fANOVA", "PED-ANOVA")):
        fill = f"url(#{identity})" if series else None
        at = left + 110 * series
        parts.append(svg.element("rect", x=at, y=6, width=18, height=10, class_=_bar(series), fill=fill))
        parts.append(svg.text(name, at + 24, 15, class_="label"))
    for row, each in enumerate(result.importance):
        y = top + row * pitch
        parts.append(svg.text(each.field, left, y + 8, class_="label"))
        for series, share in enumerate((each.fanova, each.ped_anova)):
            at, fill = y + 12 + 11 * series, f"url(#{identity})" if series else None
            width = x(share) - x(0)
            parts.append(
                svg.element("rect", x=left, y=at, width=width, height=9, class_=_bar(series), fill=fill)
            )
            parts.append(svg.text(f"{share:.2f}", left + width + 5, at + 8, class_="value"))
    height = top + pitch * len(result.importance)
    return svg.drawing(WIDTH, height, f"{result.name}: what decided {result.objective}", *parts)


def _bar(series: int) -> str:
    return f"bar s{series + 1}" + (" hatched" if series else "")


def _slice(result: SearchResult, path: str) -> str:
    axis = _Axis.of([trial.choices[path] for trial in result.trials], 60, WIDTH - 30)
    at = [axis(trial.choices[path]) for trial in result.trials]
    return _chart(result, f"{result.name}: {result.objective} by {path}", axis.labels, at)


def _chart(
    result: SearchResult,
    title: str,
    labels: Sequence[tuple[str, float]],
    at: Sequence[float],
    edge: Sequence[svg.Point] = (),
) -> str:
    """Trials as marks: filled when trained to the end, hollow when pruned, ringed the best. edge: the front
    as (pixels, score), drawn in steps, since nothing is known between two trials."""
    height, top, bottom = 210.0, 24.0, 30.0
    low, high = svg.padded([trial.score for trial in result.trials])
    y = Scale(low, high, height - bottom, top)
    parts = [svg.text(f"{result.objective} {result.unit}".strip(), 4, 12, class_="tick")]
    for tick in y.ticks:
        parts.append(svg.line((36, y(tick)), (WIDTH - 6, y(tick)), "grid"))
        parts.append(svg.text(f"{tick:g}", 30, y(tick) + 3.5, "end", "tick"))
    parts += [svg.text(label, x, height - 10, "middle", "tick") for label, x in labels]
    steps = [step for (_, before), (x, score) in pairwise(edge) for step in ((x, before), (x, score))]
    if steps:
        parts.append(svg.polyline([(x, y(score)) for x, score in (*edge[:1], *steps)], "curve s2"))
    parts += [_dot(trial, (x, y(trial.score))) for trial, x in zip(result.trials, at, strict=True)]
    if result.complete:
        best = result.trials.index(result.complete[0])
        parts.append(svg.element("circle", cx=at[best], cy=y(result.trials[best].score), r=8, class_="ring"))
    return svg.drawing(WIDTH, height, title, *parts)


def _dot(trial: Trial, at: svg.Point) -> str:
    return svg.mark(at, 0, "" if trial.status is Status.COMPLETE else "hollow")


def _ordered(values: Sequence[Any]) -> list[Any]:
    """Distinct values, numbers by size and words by letter."""
    distinct: list[Any] = []
    for value in values:
        if value not in distinct:
            distinct.append(value)
    try:
        return sorted(distinct)
    except TypeError:
        return sorted(distinct, key=str)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) if len(str(value)) <= 14 else f"{str(value)[:13]}…"

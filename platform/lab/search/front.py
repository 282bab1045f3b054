"""The Pareto front: what nothing else is better than in everything."""

from __future__ import annotations

from collections.abc import Sequence


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """The places of those points, each a tuple to be made small, that no other dominates: none is as small
    in all and smaller in one. Equal points are all on it."""
    order = sorted(range(len(points)), key=lambda place: tuple(points[place]))
    kept: list[int] = []
    for place in order:
        # Only what sorts before a point can dominate it, and of that only what is itself on the front.
        if not any(_dominates(points[other], points[place]) for other in kept):
            kept.append(place)
    return sorted(kept)


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)

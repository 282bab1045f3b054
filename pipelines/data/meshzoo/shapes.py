"""The ten kinds of shapes. Each is drawn with proportions of its own, so that no size gives a kind away."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pipelines.data.counter import Draws
from pipelines.data.meshzoo.solids import Solid, box, joined, turned

STRETCH = 1.35
"""at most, by which an axis is longer or shorter than as drawn"""


def shape(kind: str, draws: Draws) -> Solid:
    """A shape of that kind, stretched along each axis and turned about the upright one."""
    solid = KINDS[kind](draws)
    reach = math.log(STRETCH)
    stretched = solid.vertices * [math.exp(draws.uniform(-reach, reach)) for _ in range(3)]
    angle = draws.uniform(0, 2 * math.pi)
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    # The upright axis becomes any of the three, either way up: an even number of swaps and mirrors would do,
    # but these shapes are mirror images of themselves.
    lying = np.roll(stretched @ turn.T, draws.integer(0, 2), axis=1)
    return Solid(lying if draws.integer(0, 1) else -lying, solid.faces)


def bottle(draws: Draws) -> Solid:
    """Straight, with a neck that is straight too."""
    neck, shoulder = draws.uniform(0.15, 0.35), draws.uniform(0.45, 0.7)
    return turned([(0.6, 0), (0.6, shoulder), (neck, shoulder + draws.uniform(0.08, 0.25)), (neck, 1.2)])


def vase(draws: Draws) -> Solid:
    """Waisted, its wall one smooth wave."""
    wave, shift, middle = draws.uniform(0.15, 0.25), draws.uniform(-0.8, 0.8), draws.uniform(0.4, 0.5)
    heights = np.linspace(0, 1.2, 9)
    return turned([(middle + wave * math.sin(5 * h + shift), h) for h in heights.tolist()])


def lamp(draws: Draws) -> Solid:
    """A shade on a rod on a foot."""
    low, wide = draws.uniform(0.6, 0.8), draws.uniform(0.4, 0.6)
    foot = turned([(draws.uniform(0.25, 0.5), 0), (0.2, 0.1)])
    return joined(
        [
            foot,
            turned([(0.06, 0.1), (0.06, low)], 8),
            turned([(wide, low), (wide * draws.uniform(0.4, 0.9), 1.2)]),
        ]
    )


def cone(draws: Draws) -> Solid:
    return turned([(0.6, 0), (draws.uniform(0.03, 0.2), 1.2)])


def pyramid(draws: Draws) -> Solid:
    return turned([(0.75, 0), (draws.uniform(0.03, 0.2), 1.2)], sides=4)


def cylinder(draws: Draws) -> Solid:
    return turned([(0.6, 0), (draws.uniform(0.5, 0.6), 1.2)])


def block(draws: Draws) -> Solid:
    return turned([(0.75, 0), (draws.uniform(0.65, 0.75), 1.2)], sides=4)


def ellipsoid(draws: Draws) -> Solid:
    """Rounder or flatter at its ends."""
    power = draws.uniform(0.6, 1.0)
    angles = np.linspace(0.02, math.pi - 0.02, 11).tolist()
    return turned([(0.6 * math.sin(a) ** power, 0.6 - 0.6 * math.cos(a)) for a in angles])


def table(draws: Draws) -> Solid:
    """A top on four legs."""
    top = draws.uniform(0.7, 1.1)
    return joined([box((0, 0, top), (1.2, 1.2, draws.uniform(0.06, 0.2))), *_legs(top, draws)])


def chair(draws: Draws) -> Solid:
    """A table, lower, with a back."""
    seat, thick = draws.uniform(0.45, 0.7), draws.uniform(0.06, 0.15)
    back = box((0, 0.6 - thick / 2, (seat + 1.2) / 2), (1.2, thick, 1.2 - seat))
    return joined([box((0, 0, seat), (1.2, 1.2, draws.uniform(0.06, 0.2))), back, *_legs(seat, draws)])


def _legs(height: float, draws: Draws) -> list[Solid]:
    thick, out = draws.uniform(0.08, 0.16), draws.uniform(0.4, 0.5)
    return [box((x, y, height / 2), (thick, thick, height)) for x in (-out, out) for y in (-out, out)]


KINDS: dict[str, Callable[[Draws], Solid]] = {
    "block": block,
    "bottle": bottle,
    "chair": chair,
    "cone": cone,
    "cylinder": cylinder,
    "ellipsoid": ellipsoid,
    "lamp": lamp,
    "pyramid": pyramid,
    "table": table,
    "vase": vase,
}
"""By the names of their folders, in the order of their labels."""

"""Solids that meshes are put together from: what is turned on a lathe, and boxes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Place = tuple[float, float, float]
Faces = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Solid:
    """vertices: (v, 3), the third coordinate is up · faces: polygons, as indices of vertices"""

    vertices: NDArray[np.float64]
    faces: Faces


def turned(profile: Sequence[tuple[float, float]], sides: int = 24) -> Solid:
    """What a lathe makes of a profile (radius, height), from the bottom to the top; `sides` 4 is a square."""
    angles = (np.arange(sides) + 0.5) * (2 * math.pi / sides)
    rings = [
        np.column_stack([radius * np.cos(angles), radius * np.sin(angles), np.full(sides, height)])
        for radius, height in profile
    ]
    around = [(side, (side + 1) % sides) for side in range(sides)]
    walls = [
        (low + a, low + b, low + sides + b, low + sides + a)
        for low in range(0, sides * (len(profile) - 1), sides)
        for a, b in around
    ]
    last = sides * (len(profile) - 1)
    lids = [tuple(range(sides)), tuple(range(last, last + sides))]
    return Solid(np.concatenate(rings), (*walls, *lids))


def box(centre: Place, size: Place) -> Solid:
    """A box with its edges along the axes."""
    corners = np.array([(x, y, z) for z in (-0.5, 0.5) for x, y in _SQUARE])
    return Solid(corners * size + centre, _SIX)


def joined(solids: Iterable[Solid]) -> Solid:
    """All of them as one mesh; they may run into one another, as parts of ModelNet40's do."""
    vertices: list[NDArray[np.float64]] = []
    faces: list[tuple[int, ...]] = []
    count = 0
    for solid in solids:
        faces += [tuple(corner + count for corner in face) for face in solid.faces]
        vertices.append(solid.vertices)
        count += len(solid.vertices)
    return Solid(np.concatenate(vertices), tuple(faces))


_SQUARE = ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))
_SIX = ((0, 1, 2, 3), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7))

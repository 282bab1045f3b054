"""Points on surfaces and points out of clouds, drawn by a key: the same ones wherever they are drawn."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from lab.errors import DataError
from pipelines.data import counter
from pipelines.data.counter import Draws
from pipelines.data.points.off import Mesh


def key_of(name: str) -> int:
    """The 64-bit key that belongs to a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def drawn_key(draws: Draws) -> int:
    """A key for as many numbers as are needed, at the cost of one draw."""
    return draws.integer(0, 2**64 - 1)


def on_surface(mesh: Mesh, number: int, of: int) -> NDArray[np.float32]:
    """(number, 3) independent points, uniform over the area of the mesh, that belong to the key `of`.

    Only additions, products and roots are used, one after the other, so that the bits are the same on every
    machine. Raises DataError when no triangle has an area.
    """
    first, second, third = (mesh.vertices[mesh.triangles[:, corner]] for corner in range(3))
    along, across = second - first, third - first
    until = np.cumsum(_areas(along, across))
    if not len(until) or not 0 < until[-1] < np.inf:
        raise DataError(f"{mesh.where}: none of the faces has an area, so no point can be drawn.")
    draws = uniforms(of, np.arange(3 * number)).reshape(number, 3)
    faces = np.searchsorted(until, draws[:, 0] * until[-1], side="right")
    u, v = draws[:, 1:2], draws[:, 2:3]
    # The other half of the parallelogram is folded back onto the triangle.
    outside = u + v > 1
    u, v = np.where(outside, 1 - u, u), np.where(outside, 1 - v, v)
    return np.asarray(first[faces] + u * along[faces] + v * across[faces], np.float32)


def chosen(size: int, number: int, of: int) -> NDArray[np.int64]:
    """`number` different indices below `size`, in random order: as `counter.permutation` begins, at an eighth
    of its cost."""
    hashes = counter.hashes(of, np.arange(size))
    if number < size:
        lowest = np.argpartition(hashes, number - 1)[:number]
        return lowest[np.argsort(hashes[lowest], kind="stable")]
    return np.argsort(hashes, kind="stable")


def uniforms(of: int, counters: NDArray[np.int64]) -> NDArray[np.float64]:
    """One number in [0, 1) per counter, from the upper 53 bits of its hash."""
    return np.asarray((counter.hashes(of, counters) >> np.uint64(11)) * 2.0**-53, np.float64)


def _areas(along: NDArray[np.float64], across: NDArray[np.float64]) -> NDArray[np.float64]:
    """Twice the areas of triangles with these sides."""
    (a, b, c), (x, y, z) = along.T, across.T
    squares = (b * z - c * y) ** 2 + (c * x - a * z) ** 2 + (a * y - b * x) ** 2
    return np.asarray(np.sqrt(squares), np.float64)

"""Meshes in the Object File Format, as ModelNet40 has them and as it should have.

    OFF                   or OFF490 518 0, or OFF 490 518 0: many of ModelNet40's files lack the line break
    490 518 0             vertices, faces, edges (not used)
    0.1 -2.5 3.0          a vertex
    3 0 1 2               a face: how many corners, the vertices at them, counted from 0; perhaps a colour

Comments, blank lines and any line ends are allowed. A polygon becomes the triangles of a fan around its first
corner; a face of fewer than three corners has no area and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lab.errors import DataError
from pipelines.data.points.text import Lines, table, uniform


@dataclass(frozen=True)
class Mesh:
    """where: the file it is from · vertices: (v, 3) coordinates · triangles: (f, 3) indices of vertices"""

    where: str
    vertices: NDArray[np.float64]
    triangles: NDArray[np.int64]


def read(data: bytes, where: str) -> Mesh:
    """The mesh in a file's bytes. Raises DataError with `where`, which names the file, and the line."""
    lines = Lines.of(data, where)
    (vertices, faces), body = _header(lines)
    if len(body) < vertices + faces:
        raise DataError(
            f"{where} announces {vertices:,} vertices and {faces:,} faces and has {len(body):,} lines for "
            f"them: it is cut short; copy it again."
        )
    corners = table(body.part(0, vertices), 3, "a vertex")
    return Mesh(where, corners, _triangles(body.part(vertices, vertices + faces), vertices))


def _header(lines: Lines) -> tuple[tuple[int, int], Lines]:
    """((vertices, faces), the lines behind the header)."""
    first = lines.texts[0].strip() if lines else b""
    if not first.upper().startswith(b"OFF"):
        raise DataError(f"{lines.where} is no OFF file: it begins with {first[:20].decode('latin-1')!r}.")
    if len(first) > 3:
        return _counts(lines, 0, first[3:]), lines.part(1)
    if len(lines) < 2:
        raise DataError(f"{lines.where} ends behind its first line: it is cut short; copy it again.")
    return _counts(lines, 1, lines.texts[1]), lines.part(2)


def _counts(lines: Lines, index: int, text: bytes) -> tuple[int, int]:
    words = text.split()
    if len(words) not in {2, 3} or not all(word.isdigit() for word in words):
        raise lines.fault(
            index,
            f"the numbers of vertices, faces and edges are expected, got {text.decode('latin-1').strip()!r}",
        )
    vertices, faces = int(words[0]), int(words[1])
    if not vertices or not faces:
        raise lines.fault(index, f"a mesh has vertices and faces, this has {vertices} and {faces}")
    return vertices, faces


def _triangles(faces: Lines, vertices: int) -> NDArray[np.int64]:
    """(f, 3) indices below `vertices`."""
    rows = uniform(faces, np.int64)
    if rows is not None:
        sides, corners = int(rows[0, 0]), rows[:, 1 : 1 + int(rows[0, 0])]
        alike = (rows[:, 0] == sides).all() and 3 <= sides == corners.shape[1]
        if alike and corners.min() >= 0 and corners.max() < vertices:
            fan = [corners[:, [0, second, second + 1]] for second in range(1, sides - 1)]
            return np.stack(fan, axis=1).reshape(-1, 3)
    return _one_by_one(faces, vertices)


def _one_by_one(faces: Lines, vertices: int) -> NDArray[np.int64]:
    """The same for faces that are not all alike; finds the face at fault."""
    triangles: list[tuple[int, int, int]] = []
    owners: list[int] = []
    for index, text in enumerate(faces.texts):
        words = text.split()
        try:
            sides = int(words[0])
            corners = list(map(int, words[1 : sides + 1]))
        except ValueError:
            raise faces.fault(
                index, f"a face is a count and indices, got {text.decode('latin-1').strip()!r}"
            ) from None
        if len(corners) != sides:
            raise faces.fault(index, f"a face of {sides} corners has {len(corners)} indices")
        fan = [(corners[0], *pair) for pair in pairwise(corners[1:])]
        triangles += fan
        owners += [index] * len(fan)
    made = np.array(triangles, np.int64).reshape(-1, 3)
    strangers = np.argwhere((made < 0) | (made >= vertices))
    if len(strangers):
        triangle, corner = strangers[0]
        raise faces.fault(
            owners[triangle],
            f"vertex {made[triangle, corner]} is not there, indices go from 0 to {vertices - 1}",
        )
    return made

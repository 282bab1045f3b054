"""Meshes as OFF text, with the defects that ModelNet40's files have."""

from __future__ import annotations

from pipelines.data.counter import Draws
from pipelines.data.meshzoo.solids import Solid


def off(solid: Solid, draws: Draws) -> bytes:
    """The text of a mesh. Half of the files lack the line break behind OFF, one in four has faces without
    area, one in eight Windows line ends."""
    faces = list(solid.faces)
    if not draws.integer(0, 3):
        faces += [(0, 0, 1), (1, 1, 1)]
    lines = [f"{len(solid.vertices)} {len(faces)} 0"]
    lines += [" ".join(f"{value:.5f}" for value in vertex) for vertex in solid.vertices.tolist()]
    lines += [" ".join(map(str, (len(face), *face))) for face in faces]
    end = "\n" if draws.integer(0, 7) else "\r\n"
    return ("OFF" + (end if draws.integer(0, 1) else "") + end.join(lines) + end).encode()

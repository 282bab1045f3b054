"""Meshes by class and split, as ModelNet40.zip has them.

    ModelNet40/airplane/train/airplane_0001.off
    ModelNet40/airplane/test/airplane_0627.off

Of every mesh 8,192 points are stored, uniform over its area, drawn by its name: the same in a zip and in a
folder, and on any machine.
"""

from __future__ import annotations

import re
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lab.errors import DataError
from pipelines.data.modelnet40.archive import File, Files
from pipelines.data.modelnet40.shapes import Shape
from pipelines.data.points import off, sampling

SAMPLED = 8192

MARKER = re.compile(r"(?P<top>.*/)?(?P<name>[^/]+)/(?P<split>train|test)/(?P<key>[^/]+)\.off", re.IGNORECASE)
"""What tells this form from the others: the path of a file."""


def shapes(files: Files, sampled: int = SAMPLED) -> dict[str, list[Shape]]:
    """Split, train or test -> its meshes, of each of which `sampled` points are to be stored.

    Raises DataError when the classes are not all in one folder.
    """
    found: dict[str, list[Shape]] = {"train": [], "test": []}
    tops = set()
    for inside, file in sorted(files.items()):
        if place := MARKER.fullmatch(inside):
            key = place["key"]
            shape = Shape(key, place["name"], file.size, sampled, partial(sample, file, key, sampled))
            found[place["split"].lower()].append(shape)
            tops.add(place["top"] or "")
    if len(tops) > 1:
        raise DataError(f"there are meshes by class in each of {', '.join(sorted(tops))}: name one of them.")
    return found


def sample(file: File, key: str, sampled: int = SAMPLED) -> NDArray[np.float32]:
    """(sampled, 3) points on the mesh in a file. Raises DataError naming the file and the line."""
    return sampling.on_surface(off.read(file.read(), file.where), sampled, sampling.key_of(key))

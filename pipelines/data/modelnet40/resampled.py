"""The resampled form of PointNet++ (Qi et al. 2017): points and normals as text.

    modelnet40_normal_resampled/modelnet40_shape_names.txt      the classes
    modelnet40_normal_resampled/modelnet40_train.txt            night_stand_0001 ...
    modelnet40_normal_resampled/modelnet40_test.txt
    modelnet40_normal_resampled/night_stand/night_stand_0001.txt   x,y,z,nx,ny,nz on each of 10,000 lines

The class of a shape is its name without its number. All points are stored, normals are not.
"""

from __future__ import annotations

import re
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lab.errors import DataError
from pipelines.data.modelnet40.archive import File, Files, below
from pipelines.data.modelnet40.shapes import Shape
from pipelines.data.points.text import Lines, table

MARKER = re.compile(r"(.*/)?modelnet40_train\.txt")
"""What tells this form from the others: the path of a file."""

LISTS = {"train": "modelnet40_train.txt", "test": "modelnet40_test.txt"}
NAMES = "modelnet40_shape_names.txt"

POINT_TEXT = 54
"""Bytes of a point in the published files, roughly."""


def shapes(files: Files) -> dict[str, list[Shape]]:
    """Split -> its shapes.

    Raises DataError naming the list and the line of a shape that is not there or of no class.
    """
    files = below(files, LISTS["train"])
    classes = _words(files, NAMES).texts
    return {split: _listed(files, name, {each.decode() for each in classes}) for split, name in LISTS.items()}


def _listed(files: Files, name: str, classes: set[str]) -> list[Shape]:
    lines = _words(files, name)
    found = []
    for index, text in enumerate(lines.texts):
        key = text.decode(errors="replace")
        of = key.rpartition("_")[0]
        if of not in classes:
            raise lines.fault(index, f"{key!r} is of no class in {NAMES}")
        file = files.get(f"{of}/{key}.txt")
        if file is None:
            raise lines.fault(index, f"{of}/{key}.txt is missing: copy the source again")
        found.append(Shape(key, of, file.size, file.size // POINT_TEXT, partial(read, file)))
    return found


def _words(files: Files, name: str) -> Lines:
    if name not in files:
        raise DataError(f"{name} is missing beside {LISTS['train']}: copy the source again.")
    lines = Lines.of(files[name].read(), files[name].where)
    return Lines(lines.where, [text.strip() for text in lines.texts], lines.numbers)


def read(file: File) -> NDArray[np.float32]:
    """(n, 3) coordinates. Raises DataError naming the file and the line."""
    return table(Lines.of(file.read(), file.where), 6, "a point", ",")[:, :3].astype(np.float32)

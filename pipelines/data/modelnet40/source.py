"""ModelNet40 as people hold it, in whichever form a source has it.

    ModelNet40.zip                     meshes by class and split
    modelnet40_normal_resampled.zip    points as text
    modelnet40_ply_hdf5_2048.zip       points as HDF5

A source is one of them, the folder it was unpacked into, or a folder that holds either. Of a zip and the
folder beside it the zip is read, which cannot be half unpacked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lab.errors import DataError
from pipelines.data.modelnet40 import hdf5, meshes, resampled
from pipelines.data.modelnet40.archive import Files, listing
from pipelines.data.modelnet40.classes import require_known
from pipelines.data.modelnet40.shapes import Shape


class Form(Protocol):
    """A module that reads one form."""

    MARKER: re.Pattern[str]

    def shapes(self, files: Files) -> dict[str, list[Shape]]:
        """Split -> its shapes."""


FORMS: Mapping[str, Form] = {"meshes": meshes, "text": resampled, "HDF5": hdf5}


@dataclass(frozen=True)
class Found:
    """The shapes of a source by split, train and test, and the form they were in."""

    form: str
    splits: Mapping[str, list[Shape]]


def find(source: Path) -> Found:
    """Raises DataError: no form is there or more than one, a file is missing or damaged, or a class is none
    of the 40.
    """
    held: dict[str, tuple[Path, Files]] = {}
    for place in _places(source):
        files = listing(place)
        for name, form in FORMS.items():
            if any(map(form.MARKER.fullmatch, files)):
                held.setdefault(name, (place, files))
    if not held:
        raise DataError(
            f"{source} holds ModelNet40 in no known form: neither ModelNet40.zip, "
            "modelnet40_normal_resampled.zip or modelnet40_ply_hdf5_2048.zip, nor the folder of one."
        )
    if len(held) > 1:
        places = ", ".join(f"{place} ({name})" for name, (place, _) in held.items())
        raise DataError(f"{source} holds ModelNet40 in several forms: {places}; name one of them.")
    name, (place, found) = held.popitem()
    splits = FORMS[name].shapes(found)
    for split, shapes in splits.items():
        if not shapes:
            raise DataError(f"{place} has no {split} shapes: copy it again.")
        require_known([shape.name for shape in shapes], str(place))
    return Found(name, splits)


def _places(source: Path) -> list[Path]:
    """The source, behind the zips of ModelNet40 that it holds."""
    if not source.exists():
        raise DataError(f"{source} does not exist: name the folder or the zip that holds ModelNet40.")
    if source.is_file():
        return [source]
    zips = (each for each in source.iterdir() if re.fullmatch(r"modelnet40.*\.zip", each.name.lower()))
    return [*sorted(zips), source]

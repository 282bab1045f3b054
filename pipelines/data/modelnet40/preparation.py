"""ModelNet40 as shards of points.

`test` is the official test set, on which the paper reports. `validation` is one training shape in 10 of each
class, chosen by a hash of its name (assumed; the paper has none and selects on the test set). `train` is the
rest.
"""

from __future__ import annotations

from pathlib import Path

from lab.errors import DataError
from pipelines.data.build import Prepared, Progress, build, silent
from pipelines.data.modelnet40.classes import CLASSES, missing
from pipelines.data.modelnet40.shapes import hold_out, plan
from pipelines.data.modelnet40.source import find
from pipelines.data.plan import Plan

VERSION = 1


def prepare(root: str, source: str | None = None, progress: Progress = silent) -> Prepared:
    """Writes ModelNet40 under `root` from the zip or folder `source`, in any of its forms.

    Raises DataError when the source is incomplete, has other classes, or holds a shape that cannot be read.
    """
    return build(root, "modelnet40", VERSION, lambda: _plan(source), progress=progress)


def _plan(source: str | None) -> Plan:
    if source is None:
        raise DataError(
            "modelnet40 is made from ModelNet40.zip, its resampled or its HDF5 form; "
            "run: lab data prepare modelnet40 --source FOLDER"
        )
    found = find(Path(source))
    train, validation = hold_out(found.splits["train"])
    splits = {"train": train, "validation": validation, "test": found.splits["test"]}
    shapes = sum(map(len, splits.values()))
    return plan(splits, CLASSES, {f"shapes from {found.form}": shapes, **missing(found.splits)})

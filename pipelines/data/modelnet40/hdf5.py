"""The HDF5 form of PointNet (Qi et al. 2017): 2,048 points of each shape, three training shapes less.

    modelnet40_ply_hdf5_2048/shape_names.txt          the classes in the order of their labels
    modelnet40_ply_hdf5_2048/train_files.txt          data/modelnet40_ply_hdf5_2048/ply_data_train0.h5 ...
    modelnet40_ply_hdf5_2048/test_files.txt
    modelnet40_ply_hdf5_2048/ply_data_train0.h5       data (n, 2048, 3) float32, label (n, 1) uint8

The lists name folders of another machine; files are looked for beside the lists. Shapes have no names here: a
key is the file and the row.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from lab.errors import DataError
from pipelines.data.modelnet40.archive import File, Files, below
from pipelines.data.modelnet40.shapes import Shape

MARKER = re.compile(r"(.*/)?train_files\.txt")
"""What tells this form from the others: the path of a file."""

LISTS = {"train": "train_files.txt", "test": "test_files.txt"}
NAMES = "shape_names.txt"


def shapes(files: Files) -> dict[str, list[Shape]]:
    """Split -> its shapes.

    Raises DataError naming a missing or damaged file, and the row of a label that is no class.
    """
    files = below(files, LISTS["train"])
    names = _words(files, NAMES)
    return {
        split: [
            shape
            for path in _words(files, listed)
            for shape in _clouds(PurePosixPath(path), files, listed, names)
        ]
        for split, listed in LISTS.items()
    }


def _clouds(path: PurePosixPath, files: Files, listed: str, names: Sequence[str]) -> Iterator[Shape]:
    """The shapes of one file. Their points are held in memory: of all seven files they are 300 MB."""
    file = _there(files, path.name, listed)
    clouds, labels = _arrays(file)
    for row, (cloud, label) in enumerate(zip(clouds, labels.tolist(), strict=True)):
        if not 0 <= label < len(names):
            raise DataError(
                f"{file.where}, row {row}: label {label} is no class, {NAMES} has {len(names)} of them."
            )
        if not np.isfinite(cloud).all():
            raise DataError(f"{file.where}, row {row}: a coordinate is no number: copy it again.")
        yield Shape(f"{path.stem}/{row:04d}", names[label], cloud.nbytes, len(cloud), cloud.copy)


def _arrays(file: File) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(clouds (n, points, 3), labels (n,)) of one file."""
    import h5py

    try:
        with h5py.File(io.BytesIO(file.read()), "r") as opened:
            clouds, labels = opened["data"][:], opened["label"][:]
    except (OSError, KeyError) as fault:
        raise DataError(
            f"{file.where} is no HDF5 file with data and label ({str(fault).strip()}): copy it again."
        ) from None
    labels = labels.reshape(-1)
    if clouds.ndim != 3 or clouds.shape[2] != 3 or len(clouds) != len(labels):
        raise DataError(
            f"{file.where} holds data {clouds.shape} and {len(labels)} labels, not (n, points, 3) and n."
        )
    return clouds.astype(np.float32), labels.astype(np.int64)


def _words(files: Files, name: str) -> list[str]:
    return _there(files, name, LISTS["train"]).read().decode(errors="replace").split()


def _there(files: Files, name: str, beside: str) -> File:
    if name not in files:
        raise DataError(f"{name} is missing beside {beside}: copy the source again.")
    return files[name]

"""ImageNet as people hold it: the official tars, or folders by class. Nothing is extracted.

    SOURCE/ILSVRC2012_img_train.tar           1,000 tars, one per class, of <wnid>_<n>.JPEG
    SOURCE/ILSVRC2012_img_val.tar             ILSVRC2012_val_00000001.JPEG ... 00050000.JPEG
    SOURCE/ILSVRC2012_devkit_t12.tar.gz       what the validation images are of
or
    SOURCE/train/<wnid>/*    SOURCE/val/<wnid>/*    (val may be flat, beside the devkit)

A label is the place of the class among the sorted WordNet ids. The devkit numbers classes otherwise
(ILSVRC2012_ID), and its ground truth counts from 1: taking one for the other gives every image a wrong
label that looks right.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.errors import DataError

TRAIN, VALIDATION, DEVKIT = (
    "ILSVRC2012_img_train.tar",
    "ILSVRC2012_img_val.tar",
    "ILSVRC2012_devkit_t12.tar.gz",
)
CLASSES = 1000
_WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True, slots=True)
class Located:
    """The bytes of one image: of a whole file, or inside a tar."""

    wnid: str
    name: str
    path: Path
    offset: int
    size: int

    def read(self) -> bytes:
        """Raises DataError when the file has become shorter since it was listed, OSError when it cannot
        be read.
        """
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = file.read(self.size)
        if len(data) != self.size:
            raise DataError(f"{self.path} ends inside {self.name}: it is cut short; copy it again.")
        return data


def find(source: Path) -> tuple[list[Located], list[Located]]:
    """(training images, official validation images) in whichever form `source` holds them.

    Raises DataError: neither form is there, a file is missing or cut short, or the classes are not the 1,000.
    """
    if (source / TRAIN).is_file():
        train = list(_train_tar(source / TRAIN))
        validation = _official(list(_members(_there(source / VALIDATION))), source)
    elif (source / "train").is_dir():
        train = list(_folders(source / "train"))
        flat = [Located("", f.name, f, 0, f.stat().st_size) for f in _files(_there(source / "val"))]
        validation = _official(flat, source) if flat else list(_folders(source / "val"))
    else:
        raise DataError(f"{source} holds neither {TRAIN} nor a folder train/: name the folder that does.")
    _check_classes(source, train, validation)
    return train, validation


def _train_tar(path: Path) -> Iterator[Located]:
    for inner in _members(path):
        yield from _members(path, wnid=Path(inner.name).stem, start=inner.offset, size=inner.size)


def _members(path: Path, wnid: str = "", start: int = 0, size: int | None = None) -> Iterator[Located]:
    """The files in a tar, or in the tar of `size` bytes that begins at `start` inside another one."""
    end = path.stat().st_size if size is None else start + size
    where = f"{path}, {wnid}.tar" if wnid else str(path)
    with path.open("rb") as file:
        file.seek(start)
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for member in tar:
                    if member.offset_data + member.size > end:
                        raise DataError(f"{where} ends inside {member.name}: it is cut short; copy it again.")
                    if member.isfile():
                        yield Located(wnid, Path(member.name).name, path, member.offset_data, member.size)
        except tarfile.TarError as fault:
            raise DataError(f"{where} is not a readable tar: {fault}.") from None


def _folders(path: Path) -> Iterator[Located]:
    for folder in sorted(each for each in path.iterdir() if each.is_dir()):
        for file in _files(folder):
            yield Located(folder.name, file.name, file, 0, file.stat().st_size)


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))


def _there(path: Path) -> Path:
    if not path.exists():
        raise DataError(f"{path} is missing: put it beside the training images.")
    return path


def _official(images: list[Located], source: Path) -> list[Located]:
    """The validation images with their classes, which the devkit lists in the order of the file names."""
    wnids = _ground_truth(_there(source / DEVKIT))
    if len(images) != len(wnids):
        raise DataError(
            f"{source} has {len(images):,} validation images, {DEVKIT} has {len(wnids):,} labels for them."
        )
    ordered = sorted(images, key=lambda image: image.name)
    return [Located(wnid, i.name, i.path, i.offset, i.size) for i, wnid in zip(ordered, wnids, strict=True)]


def _ground_truth(devkit: Path) -> list[str]:
    """WordNet id of each validation image. Only ids 1 to 1,000 of the devkit are classes, the others
    their parents.
    """
    from scipy.io import loadmat

    files: dict[str, bytes] = {}
    try:
        with tarfile.open(devkit, "r:gz") as tar:
            for member in tar:
                if Path(member.name).name in {"meta.mat", "ILSVRC2012_validation_ground_truth.txt"}:
                    files[Path(member.name).name] = _content(tar, member)
            synsets = loadmat(io.BytesIO(files["meta.mat"]), squeeze_me=True)["synsets"]
            wnid = {int(synset["ILSVRC2012_ID"]): str(synset["WNID"]) for synset in synsets}
            numbers = files["ILSVRC2012_validation_ground_truth.txt"].split()
            return [wnid[int(number)] for number in numbers]
    except (tarfile.TarError, EOFError, KeyError, ValueError) as fault:
        raise DataError(f"{devkit} is not the devkit, or it is cut short ({fault!r}).") from None


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    if file is None:
        raise KeyError(member.name)
    return file.read()


def _check_classes(source: Path, train: list[Located], validation: list[Located]) -> None:
    found = {image.wnid for image in train}
    strangers = sorted(name for name in found if not _WNID.fullmatch(name))
    if strangers:
        raise DataError(
            f"{source}: {strangers[0]!r} is no WordNet id like n01440764; take it out of the classes."
        )
    if len(found) != CLASSES:
        raise DataError(f"{source} has training images of {len(found):,} classes, ImageNet has {CLASSES:,}.")
    unknown = sorted({image.wnid for image in validation} - found)
    if unknown:
        raise DataError(
            f"{source}: validation images of {unknown[0]!r}, of which there are no training images."
        )

"""What the official validation images are of: the devkit's ground truth, or Kaggle's solution.

The devkit numbers classes in its own way (ILSVRC2012_ID) and its ground truth counts from 1: taking such a
number for a label gives every image a wrong one that looks right.
"""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.errors import DataError
from pipelines.data.imagenet.classes import label_of
from pipelines.data.imagenet.located import Located
from pipelines.data.payload import Extent

DEVKIT = "ILSVRC2012_devkit_t12"
SOLUTION = "LOC_val_solution.csv"
_META, _TRUTH = "meta.mat", "ILSVRC2012_validation_ground_truth.txt"


def labelled(images: Sequence[tuple[str, Extent]], beside: Path) -> list[Located]:
    """The flat validation images with their classes, by the ground truth in one of the folders above.

    Raises DataError when there is none, or when images and labels are not of each other.
    """
    file, truth = _truth(beside)
    found = {Path(name).stem: (name, at) for name, at in images}
    if unknown := sorted(found.keys() - truth.keys()):
        raise DataError(f"{beside}: {file.name} has no label for {unknown[0]}: it is no validation image.")
    if missing := sorted(truth.keys() - found.keys()):
        raise DataError(
            f"{beside} has {len(found):,} validation images, {file.name} has {len(truth):,} labels for them: "
            f"{missing[0]} is missing."
        )
    return [Located(truth[stem], *found[stem]) for stem in sorted(found)]


def _truth(beside: Path) -> tuple[Path, Mapping[str, str]]:
    for folder in (beside, *beside.absolute().parents[:4]):
        for file, read in (
            (folder / f"{DEVKIT}.tar.gz", _packed),
            (folder / DEVKIT / "data", _unpacked),
            (folder / SOLUTION, _solution),
        ):
            if file.exists():
                return (file.parent if read is _unpacked else file), read(file)
    raise DataError(
        f"{beside} has validation images that are not in folders by class, and neither {DEVKIT}.tar.gz nor "
        f"{SOLUTION}, which say what they are of, is there: put one beside them."
    )


def _packed(devkit: Path) -> dict[str, str]:
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(devkit, "r:gz") as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content and Path(member.name).name in {_META, _TRUTH}:
                    files[Path(member.name).name] = content.read()
        return _parsed(files[_META], files[_TRUTH])
    except (tarfile.TarError, EOFError, OSError, KeyError, ValueError) as fault:
        raise DataError(f"{devkit} is not the devkit, or it is cut short ({fault!r}).") from None


def _unpacked(data: Path) -> dict[str, str]:
    try:
        return _parsed((data / _META).read_bytes(), (data / _TRUTH).read_bytes())
    except (OSError, KeyError, ValueError) as fault:
        raise DataError(f"{data} is not the devkit's, or it is incomplete ({fault!r}).") from None


def _parsed(meta: bytes, truth: bytes) -> dict[str, str]:
    """Only ids 1 to 1,000 of the devkit are classes, the others their parents."""
    from scipy.io import loadmat

    synsets = loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"]
    wnid = {int(synset["ILSVRC2012_ID"]): str(synset["WNID"]) for synset in synsets}
    return {
        f"ILSVRC2012_val_{place:08d}": wnid[int(number)]
        for place, number in enumerate(truth.split(), start=1)
    }


def _solution(file: Path) -> dict[str, str]:
    """Kaggle's `ImageId,PredictionString`: the string is a class and a box, once for each box, all of one
    class.
    """
    truth: dict[str, str] = {}
    with file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            try:
                wnid = row["PredictionString"].split()[0]
                label_of(wnid)
                truth[row["ImageId"]] = wnid
            except (KeyError, AttributeError, IndexError, DataError):
                raise DataError(f"{file}: {row} is not an ImageId with a class and its boxes.") from None
    return truth

"""The 1,000 classes of ILSVRC 2012: a label is the place of a class among their sorted WordNet ids."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from lab.errors import DataError, did_you_mean

CLASSES = 1000


@cache
def wnids() -> tuple[str, ...]:
    """The WordNet ids, sorted: `n01440764` (tench) is class 0."""
    return tuple(Path(__file__).with_name("classes.txt").read_text().split())


@cache
def _places() -> dict[str, int]:
    return {wnid: label for label, wnid in enumerate(wnids())}


def label_of(wnid: str) -> int:
    """The label of a class. Raises DataError for what is no class."""
    label = _places().get(wnid)
    if label is None:
        raise DataError(f"{wnid!r} is no class of ImageNet.{did_you_mean(wnid, wnids())}")
    return label


def wnid_of(label: object, where: str) -> str:
    """The class of a label, as copies by number hold it. Raises DataError naming `where` it is."""
    if not isinstance(label, int) or not 0 <= label < CLASSES:
        unlabelled = " (-1 marks the test images, which have no labels)" if label == -1 else ""
        raise DataError(f"{where} has the label {label!r}{unlabelled}; ImageNet's are 0 to {CLASSES - 1}.")
    return wnids()[label]


def named_in(stem: str) -> tuple[str, str | None]:
    """(the official stem, the class it names, if it does) of a file name without its ending.

    `n01440764_10026` names its class; the Hugging Face copies put it behind, as in
    `ILSVRC2012_val_00000293_n03995372`.
    """
    if found := re.fullmatch(r"(.+)_(n\d{8})", stem):
        return found[1], found[2]
    found = re.match(r"(n\d{8})_", stem)
    return stem, found[1] if found else None

"""Folders by class, as torchvision's ImageFolder and Kaggle have them.

SOURCE/train/<wnid>/*    SOURCE/val/<wnid>/*
SOURCE/train/<wnid>/*    SOURCE/val/*             SOURCE/ILSVRC2012_devkit_t12.tar.gz, or unpacked
SOURCE/ILSVRC/Data/CLS-LOC/{train/<wnid>/*,val/*}    SOURCE/LOC_val_solution.csv
"""

from __future__ import annotations

from pathlib import Path

from lab.errors import DataError
from pipelines.data.build import Progress
from pipelines.data.imagenet.located import Located
from pipelines.data.imagenet.truth import labelled
from pipelines.data.payload import files, folders

WHAT = "folders by class (train/<wnid>/ with val/<wnid>/ or a flat val/, or Kaggle's ILSVRC/)"
KAGGLE = Path("ILSVRC", "Data", "CLS-LOC")


def held(source: Path) -> bool:
    return _place(source) is not None


def images(source: Path, scratch: Path, progress: Progress) -> tuple[list[Located], list[Located]]:
    place = _place(source)
    assert place is not None
    validation = next((place / name for name in ("val", "validation") if (place / name).is_dir()), None)
    if validation is None:
        raise DataError(f"{place / 'val'} is missing: put the validation images there.")
    train, flat = _by_class(place / "train", progress), files(validation)
    if not flat:
        return train, _by_class(validation, progress)
    if nested := folders(validation):
        raise DataError(
            f"{validation} holds images ({flat[0][0]}) beside folders of images ({nested[0].name}): "
            "sort all of them, or none."
        )
    return train, labelled(flat, validation)


def _place(source: Path) -> Path | None:
    """The folder with train/, whether SOURCE is Kaggle's archive or the inside of it."""
    for place in (source, source / KAGGLE, source / Path(*KAGGLE.parts[1:])):
        if (place / "train").is_dir() and folders(place / "train"):
            return place
    return None


def _by_class(folder: Path, progress: Progress) -> list[Located]:
    found: list[Located] = []
    classes = folders(folder)
    for done, each in enumerate(classes, start=1):
        progress("list imagenet", done, len(classes))
        images = [Located(each.name, *file) for file in files(each)]
        if not images:
            raise DataError(f"{each} is a class without images: copy it again, or delete it.")
        found += images
    return found

"""The official tars, as image-net.org gives them. Nothing is extracted.

SOURCE/ILSVRC2012_img_train.tar           1,000 tars, one per class, of <wnid>_<n>.JPEG
SOURCE/ILSVRC2012_img_val.tar             ILSVRC2012_val_00000001.JPEG ... 00050000.JPEG
SOURCE/ILSVRC2012_devkit_t12.tar.gz       what the validation images are of
"""

from __future__ import annotations

from pathlib import Path

from lab.errors import DataError
from pipelines.data.build import Progress
from pipelines.data.imagenet.located import Located
from pipelines.data.imagenet.truth import DEVKIT, labelled
from pipelines.data.payload import members

WHAT = f"the official tars (ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar, {DEVKIT}.tar.gz)"
TRAIN, VALIDATION = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"


def held(source: Path) -> bool:
    return (source / TRAIN).is_file() or (source / VALIDATION).is_file()


def images(source: Path, scratch: Path, progress: Progress) -> tuple[list[Located], list[Located]]:
    for name in (TRAIN, VALIDATION):
        if not (source / name).is_file():
            raise DataError(f"{source / name} is missing: put it beside the other official files.")
    validation = labelled(list(members(source / VALIDATION)), source)
    train: list[Located] = []
    inner = list(members(source / TRAIN))
    for done, (name, place) in enumerate(inner, start=1):
        progress("list imagenet", done, len(inner))
        train += [Located(Path(name).stem, *each) for each in members(source / TRAIN, place)]
    return train, validation

"""ImageNet (ILSVRC 2012) as shards of JPEG.

`test` is the official 50,000 validation images, on which the paper reports. `validation` is one training
image in 128 of each class (about 10,000, as many as the official code holds out), chosen by a hash of its
name. `train` is the rest.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from lab.errors import DataError
from pipelines.data import tables
from pipelines.data.build import Prepared, Progress, build, silent
from pipelines.data.imagenet.classes import label_of, wnids
from pipelines.data.imagenet.located import Located
from pipelines.data.imagenet.source import find
from pipelines.data.images import defects
from pipelines.data.plan import IMAGES, Entry, Plan
from pipelines.data.shards import Row

VERSION = 1
HELD_OUT = 128


def prepare(root: str, source: str | None = None, progress: Progress = silent) -> Prepared:
    """Writes ImageNet under `root` from the folder `source`, in any of the forms of `source.FORMS`.

    Raises DataError when the source is incomplete, has other classes, or holds images that cannot be decoded:
    all of them are named (see `unreadable`).
    """
    with tables.scratch(root, "imagenet") as scratch, defects.quiet():
        plan = partial(_plan, source, scratch, progress)
        return build(root, "imagenet", VERSION, plan, progress=progress)


def _plan(source: str | None, scratch: Path, progress: Progress) -> Plan:
    if source is None:
        raise DataError(
            "imagenet is made from the official tars, folders of images by class, Parquet or webdataset; "
            "run: lab data prepare imagenet --source FOLDER"
        )
    training, official, remarks = find(Path(source), scratch, progress)
    train, validation = _hold_out(training)
    splits = {"train": train, "validation": validation, "test": official}
    listing = sorted((split, i.key, i.at.size) for split, images in splits.items() for i in images)
    return Plan(
        source=hashlib.sha256(repr(listing).encode()).hexdigest()[:16],
        labels=wnids(),
        schema=IMAGES,
        splits={split: [Entry(i.key, i.at.size, i) for i in images] for split, images in splits.items()},
        row=_row,
        remark=lambda row: defects.remark(row["image"], f"image {row['key']}"),
        remarks=remarks,
    )


def _row(entry: Entry) -> Row:
    image: Located = entry.origin
    return {"key": entry.key, "label": label_of(image.wnid), "image": image.at.read()}


def _hold_out(images: Sequence[Located]) -> tuple[list[Located], list[Located]]:
    """(train, validation): of each class the images whose names hash lowest are held out."""
    classes: dict[str, list[Located]] = defaultdict(list)
    for image in images:
        classes[image.wnid].append(image)
    train: list[Located] = []
    validation: list[Located] = []
    for members in classes.values():
        ordered = sorted(members, key=lambda image: hashlib.sha256(image.key.encode()).digest())
        held = max(1, len(members) // HELD_OUT) if len(members) > 1 else 0
        validation += ordered[:held]
        train += ordered[held:]
    return train, validation

"""ImageNet (ILSVRC 2012) as shards of JPEG.

`test` is the official 50,000 validation images, on which the paper reports. `validation` is one training
image in 128 of each class (about 10,000, as many as the official code holds out), chosen by a hash of its
name. `train` is the rest.
"""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from lab.errors import DataError
from pipelines.data.build import Prepared, Progress, build, silent
from pipelines.data.imagenet.source import Located, find
from pipelines.data.plan import IMAGES, Entry, Plan
from pipelines.data.shards import Row

VERSION = 1
HELD_OUT = 128


def prepare(root: str, source: str | None = None, progress: Progress = silent) -> Prepared:
    """Writes ImageNet under `root` from the official tars or class folders in the folder `source`.

    Raises DataError when the source is incomplete, has other classes, or holds a file that is no image.
    """
    return build(root, "imagenet", VERSION, lambda: _plan(source), progress=progress)


def _plan(source: str | None) -> Plan:
    if source is None:
        raise DataError(
            "imagenet is made from the official tars or a folder of images by class; "
            "run: lab data prepare imagenet --source FOLDER"
        )
    training, official = find(Path(source))
    train, validation = _hold_out(training)
    splits = {"train": train, "validation": validation, "test": official}
    labels = tuple(sorted({image.wnid for image in training}))
    index = {wnid: label for label, wnid in enumerate(labels)}
    listing = sorted((split, _key(i), i.size) for split, images in splits.items() for i in images)
    return Plan(
        source=hashlib.sha256(repr(listing).encode()).hexdigest()[:16],
        labels=labels,
        schema=IMAGES,
        splits={split: [Entry(_key(i), i.size, i) for i in images] for split, images in splits.items()},
        row=lambda entry: {
            "key": entry.key,
            "label": index[entry.origin.wnid],
            "image": entry.origin.read(),
        },
        remark=_remark,
    )


def _hold_out(images: Sequence[Located]) -> tuple[list[Located], list[Located]]:
    """(train, validation): of each class the images whose names hash lowest are held out."""
    classes: dict[str, list[Located]] = defaultdict(list)
    for image in images:
        classes[image.wnid].append(image)
    train: list[Located] = []
    validation: list[Located] = []
    for members in classes.values():
        ordered = sorted(members, key=lambda image: hashlib.sha256(_key(image).encode()).digest())
        held = max(1, len(members) // HELD_OUT) if len(members) > 1 else 0
        validation += ordered[:held]
        train += ordered[held:]
    return train, validation


def _key(image: Located) -> str:
    return f"{image.wnid}/{Path(image.name).stem}"


def _remark(row: Row) -> str | None:
    """What is unusual about an image: ImageNet has CMYK and grey JPEGs, and a PNG named .JPEG."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(row["image"])) as image:
            kind = f"{image.format} {image.mode}"
    except (OSError, SyntaxError, ValueError):
        raise DataError(f"image {row['key']} in the source of imagenet is no image: copy it again.") from None
    return None if kind == "JPEG RGB" else kind

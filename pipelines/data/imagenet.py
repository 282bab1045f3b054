"""ImageNet (ILSVRC 2012) as shards of JPEG, and what is done to an image before a model sees it.

`test` is the official 50,000 validation images, on which the paper reports. `validation` is one training
image in 128 of each class (about 10,000, as many as the official code holds out), chosen by a hash of its
name. `train` is the rest.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import DataError, SpecError
from pipelines.data import crops, imagenet_source
from pipelines.data.build import Prepared, Progress, build, silent
from pipelines.data.counter import Draws
from pipelines.data.imagenet_source import Located
from pipelines.data.plan import IMAGES, Entry, Plan
from pipelines.data.shards import Row
from pipelines.data.stream import Stream

VERSION = 1
HELD_OUT = 128

MEAN = np.array([0.485, 0.456, 0.406], np.float32) * 255
STD = np.array([0.229, 0.224, 0.225], np.float32) * 255
"""Per channel, of 8-bit values (the official code's)."""


@dataclass(frozen=True)
class ImageNet:
    """ImageNet as (resolution, resolution, 3) standardised floats.

    Training: Inception crop (stated, section 4.1), flipped half of the time (assumed), without the paper's
    RandAugment. Evaluation: the centre, 224/256 of the shorter side. Both are resized bicubically with
    antialiasing (assumed; the official code has none).
    """

    resolution: int = 224

    def __post_init__(self) -> None:
        if self.resolution < 1:
            raise SpecError(f"ImageNet.resolution is in pixels and must be 1 or more, got {self.resolution}.")

    @property
    def name(self) -> str:
        return "imagenet"

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return (self.resolution, self.resolution, 3)

    @property
    def num_classes(self) -> int:
        return imagenet_source.CLASSES

    @property
    def columns(self) -> Sequence[str]:
        return ("key", "label", "image")

    @property
    def threads(self) -> int:
        # Pillow decodes without the interpreter lock; past 8 threads the lock is what is waited for.
        return min(8, os.cpu_count() or 1)

    def open(self, root: str) -> Stream:
        """The prepared shards under `root`. Raises MissingDataset with the command that prepares them."""
        return Stream.open(root, self, VERSION)

    def decode(self, row: Row, draws: Draws | None) -> tuple[NDArray[np.uint8], int]:
        """(resolution, resolution, 3) 8-bit RGB and the label. Raises DataError naming a damaged image."""
        from PIL import Image

        try:
            with Image.open(io.BytesIO(row["image"])) as stored:
                image = stored.convert("RGB")
        except (OSError, SyntaxError, ValueError) as fault:
            raise DataError(f"image {row['key']} of imagenet cannot be decoded: {fault}.") from None
        box = crops.inception(*image.size, draws) if draws else crops.centre(*image.size)
        # Cropped first: resize(box=...) would mix in the pixels around the box.
        size = (self.resolution, self.resolution)
        pixels = np.asarray(image.crop(box).resize(size, Image.Resampling.BICUBIC))
        if draws and draws.integer(0, 1):
            pixels = pixels[:, ::-1]
        return pixels, row["label"]

    def collate(self, examples: Sequence[tuple[NDArray[np.uint8], int]]) -> tuple[Tensor, Tensor]:
        """(b, resolution, resolution, 3) floats standardised per channel, and (b,) labels."""
        images = np.empty((len(examples), *self.input_shape), np.float32)
        for place, (pixels, _) in enumerate(examples):
            np.divide(np.subtract(pixels, MEAN, dtype=np.float32), STD, out=images[place])
        return torch.from_numpy(images), torch.tensor([label for _, label in examples], dtype=torch.int64)

    def picture(self, inputs: Tensor) -> NDArray[np.uint8]:
        """(resolution, resolution, 3) 8-bit RGB of one example's inputs."""
        return np.asarray(np.clip(np.rint(inputs.numpy() * STD + MEAN), 0, 255), np.uint8)


def dataset() -> ImageNet:
    """ImageNet at the paper's 224 pixels."""
    return ImageNet()


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
    training, official = imagenet_source.find(Path(source))
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

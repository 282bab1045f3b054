"""What is done to an ImageNet image before a model sees it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import SpecError
from pipelines.data.counter import Draws
from pipelines.data.imagenet.preparation import VERSION
from pipelines.data.imagenet.source import CLASSES
from pipelines.data.images import crops
from pipelines.data.images.decode import decode
from pipelines.data.images.resize import cropped, flipped, resized
from pipelines.data.shards import Row
from pipelines.data.stream import Stream

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
        return CLASSES

    @property
    def columns(self) -> Sequence[str]:
        return ("key", "label", "image")

    @property
    def threads(self) -> int:
        # Images are decoded without the interpreter lock; past 8 threads the lock is what is waited for.
        return min(8, os.cpu_count() or 1)

    def open(self, root: str) -> Stream:
        """The prepared shards under `root`. Raises MissingDataset with the command that prepares them."""
        return Stream.open(root, self, VERSION)

    def decode(self, row: Row, draws: Draws | None) -> tuple[NDArray[np.uint8], int]:
        """(resolution, resolution, 3) 8-bit RGB and the label. Raises DataError naming a damaged image."""
        pixels = decode(row["image"], f"image {row['key']} of imagenet")
        height, width, _ = pixels.shape
        box = crops.inception(width, height, draws) if draws else crops.centre(width, height)
        pixels = resized(cropped(pixels, box), self.resolution, self.resolution)
        if draws and draws.integer(0, 1):
            pixels = flipped(pixels)
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

"""What is done to encoded images before a model sees them, as the paper does it to ImageNet's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import SpecError
from lab.spec import Dataset
from pipelines.data.counter import Draws
from pipelines.data.images import crops
from pipelines.data.images.colour import Colour
from pipelines.data.images.decode import decode
from pipelines.data.images.mixing import Mixing
from pipelines.data.images.randaugment import RandAugment
from pipelines.data.images.resize import cropped, flipped, resize_into
from pipelines.data.shards import Row


@dataclass(frozen=True)
class ImageView:
    """Images as (resolution, resolution, 3) 8-bit RGB; which ones, a data set of this kind says.

    Training: Inception crop and RandAugment (stated, section 4.1), flipped half of the time in between
    (assumed, from the official code). Evaluation: the centre, 224/256 of the shorter side (assumed, from the
    same). Both are resized afterwards, bicubically with antialiasing (assumed; the official code has none).

    crop: what training takes of an image · flip: whether it mirrors every other one
    augment: RandAugment(), Colour() instead of it, or None · mixing: Mixing() as Perceiver IO has it, or None
    """

    resolution: int = 224
    crop: Literal["inception", "centre"] = "inception"
    flip: bool = True
    augment: RandAugment | Colour | None = field(default_factory=RandAugment)
    mixing: Mixing | None = None

    def __post_init__(self) -> None:
        if self.resolution < 1:
            raise SpecError(
                f"{type(self).__name__}.resolution is in pixels and must be 1 or more, got {self.resolution}."
            )
        if self.crop not in ("inception", "centre"):
            raise SpecError(f"{type(self).__name__}.crop must be 'inception' or 'centre', got {self.crop!r}.")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return (self.resolution, self.resolution, 3)

    @property
    def multi_label(self) -> bool:
        return False

    @property
    def columns(self) -> Sequence[str]:
        return ("key", "label", "image")

    @property
    def threads(self) -> int:
        # Images are decoded without the interpreter lock; past 8 threads the lock is what is waited for.
        return min(8, os.cpu_count() or 1)

    def decode(self, row: Row, draws: Draws | None) -> tuple[NDArray[np.uint8], int]:
        """(resolution, resolution, 3) 8-bit RGB and the label. Raises DataError naming a damaged image."""
        slot = self.empty(1)[0]
        return slot.numpy(), self.decode_into(row, draws, slot)

    def empty(self, size: int) -> Tensor:
        """(size, resolution, resolution, 3) 8-bit RGB, not filled."""
        return torch.empty((size, *self.input_shape), dtype=torch.uint8)

    def decode_into(self, row: Row, draws: Draws | None, slot: Tensor) -> int:
        """The label; the image is put into one of the slots of `empty`. Raises as `decode`."""
        pixels = decode(row["image"], f"image {row['key']} of {cast(Dataset, self).name}")
        pixels = self._augmented(pixels, draws) if draws else cropped(pixels, crops.centre(*_size(pixels)))
        resize_into(slot, pixels)
        return int(row["label"])

    def _augmented(self, pixels: NDArray[np.uint8], draws: Draws) -> NDArray[np.uint8]:
        size = _size(pixels)
        box = crops.inception(*size, draws) if self.crop == "inception" else crops.centre(*size)
        pixels = cropped(pixels, box)
        if self.flip and draws.integer(0, 1):
            pixels = flipped(pixels)
        return self.augment(pixels, draws) if self.augment else pixels

    def collate(self, examples: Sequence[tuple[NDArray[np.uint8], int]]) -> tuple[Tensor, Tensor]:
        """(b, resolution, resolution, 3) 8-bit RGB and (b,) labels."""
        images = self.empty(len(examples))
        for slot, (pixels, _) in zip(images.numpy(), examples, strict=True):
            slot[:] = pixels
        return images, torch.tensor([label for _, label in examples], dtype=torch.int64)

    def picture(self, inputs: Tensor) -> NDArray[np.uint8]:
        """(resolution, resolution, 3) 8-bit RGB of one example's inputs."""
        return np.asarray(inputs.numpy(), np.uint8)


def _size(pixels: NDArray[np.uint8]) -> tuple[int, int]:
    """(width, height)"""
    return pixels.shape[1], pixels.shape[0]

"""ImageNet as a model sees it."""

from __future__ import annotations

from dataclasses import dataclass

from perceiver import Pixels
from pipelines.data.imagenet.classes import CLASSES
from pipelines.data.imagenet.preparation import HELD_OUT, VERSION
from pipelines.data.imagenet.source import OFFICIAL
from pipelines.data.images.view import ImageView
from pipelines.data.stream import Stream

PIXELS = Pixels(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""What the 8-bit pixels stand for (the official code's): a model's `Image(..., pixels=PIXELS)`."""


@dataclass(frozen=True)
class ImageNet(ImageView):
    """ImageNet as (resolution, resolution, 3) 8-bit RGB; a model standardises it itself, by PIXELS.

    Cropped, flipped and augmented as ImageView says.
    """

    @property
    def name(self) -> str:
        return "imagenet"

    @property
    def num_classes(self) -> int:
        return CLASSES

    @property
    def full_sizes(self) -> dict[str, int]:
        """Examples in the splits of the whole set, for forecasts without it; what is held out is rounded."""
        held_out = OFFICIAL["training"] // HELD_OUT
        return {
            "train": OFFICIAL["training"] - held_out,
            "validation": held_out,
            "test": OFFICIAL["validation"],
        }

    def open(self, root: str) -> Stream:
        """The prepared shards under `root`. Raises MissingDataset with the command that prepares them."""
        return Stream.open(root, self, VERSION)


def dataset() -> ImageNet:
    """ImageNet at the paper's 224 pixels."""
    return ImageNet()

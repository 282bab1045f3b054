"""What is done to a scene of PairScenes before a model sees it: what is done to ImageNet's images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipelines.data.images.colour import Colour
from pipelines.data.images.randaugment import RandAugment
from pipelines.data.images.view import ImageView
from pipelines.data.pairscenes.preparation import VERSION
from pipelines.data.pairscenes.scenes import CLASSES
from pipelines.data.stream import Stream


@dataclass(frozen=True)
class PairScenes(ImageView):
    """PairScenes as (resolution, resolution, 3) 8-bit RGB, decoded, cropped and flipped as ImageNet.

    Its own sizes and no augmentation but flips: in a minute of training more of it only costs accuracy.
    """

    resolution: int = 32
    crop: Literal["inception", "centre"] = "centre"
    augment: RandAugment | Colour | None = None

    @property
    def name(self) -> str:
        return "pairscenes"

    @property
    def num_classes(self) -> int:
        return len(CLASSES)

    @property
    def full_sizes(self) -> dict[str, int]:
        """Examples in the splits, for forecasts before it is prepared."""
        return {"train": 4050, "validation": 450, "test": 900}

    def open(self, root: str) -> Stream:
        """The prepared shards under `root`. Raises MissingDataset with the command that prepares them."""
        return Stream.open(root, self, VERSION)


def dataset() -> PairScenes:
    """PairScenes at 32 pixels."""
    return PairScenes()

"""What is done to a ModelNet40 shape before a model sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import DataError, SpecError
from pipelines.data.counter import Draws
from pipelines.data.modelnet40.classes import CLASSES, COUNTS
from pipelines.data.modelnet40.preparation import VERSION
from pipelines.data.modelnet40.shapes import HELD_OUT
from pipelines.data.points import drawing, placement, sampling, transforms
from pipelines.data.points.transforms import Cloud
from pipelines.data.shards import Row
from pipelines.data.stream import Stream


@dataclass(frozen=True)
class ModelNet40:
    """ModelNet40 as clouds (points, 3) of zero mean whose largest coordinate is 1 or -1 (section 4.3).

    points: taken at random out of those stored, in random order: others in every epoch of training, the same
        in every evaluation (both assumed); the paper's second version says about 2,000, its first 2,048
    scale: training moves each point of the centred cloud to between 0.99 and 1.01 of its distance (stated;
        one factor for a point's three coordinates is assumed). There are no rotations or translations.
    grid: (height, width) of the grid in which the points are placed for networks of images; one cloud is then
        (height, width, 3)
    """

    points: int = 2048
    scale: tuple[float, float] = (0.99, 1.01)
    grid: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.points < 1:
            raise SpecError(f"{type(self).__name__}.points must be 1 or more, got {self.points}.")
        low, high = self.scale
        if not 0 < low <= high < np.inf:
            raise SpecError(
                f"{type(self).__name__}.scale must be the lowest and the highest factor, positive, "
                f"got {self.scale}."
            )
        if self.grid:
            placement.require_places(type(self).__name__, self.grid, self.points)

    @property
    def name(self) -> str:
        return "modelnet40"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (*self.grid, 3) if self.grid else (self.points, 3)

    @property
    def num_classes(self) -> int:
        return len(CLASSES)

    @property
    def full_sizes(self) -> dict[str, int]:
        """Examples in the splits of the whole set, for forecasts without it; what is held out is rounded."""
        held_out = COUNTS["train"] // HELD_OUT
        return {"train": COUNTS["train"] - held_out, "validation": held_out, "test": COUNTS["test"]}

    @property
    def multi_label(self) -> bool:
        return False

    @property
    def columns(self) -> Sequence[str]:
        return ("key", "label", "points")

    @property
    def threads(self) -> int:
        # A cloud takes 0.2 ms, in steps too short for two threads to share.
        return 1

    def open(self, root: str) -> Stream:
        """The prepared shards under `root`. Raises MissingDataset with the command that prepares them."""
        return Stream.open(root, self, VERSION)

    def decode(self, row: Row, draws: Draws | None) -> tuple[Cloud, int]:
        """A cloud of `input_shape` and the label. Raises DataError when fewer points are stored."""
        stored = np.frombuffer(row["points"], "<f4").reshape(-1, 3)
        if len(stored) < self.points:
            raise DataError(
                f"shape {row['key']} of {self.name} has {len(stored):,} points: set points to that or less, "
                f"got {self.points:,}."
            )
        of = sampling.drawn_key(draws) if draws else sampling.key_of(row["key"])
        cloud = transforms.centred(stored[sampling.chosen(len(stored), self.points, of)])
        if draws:
            cloud = transforms.scaled(cloud, *self.scale, sampling.drawn_key(draws))
        cloud = transforms.in_unit_cube(transforms.centred(cloud))
        return placement.on_grid(cloud, self.grid) if self.grid else cloud, row["label"]

    def collate(self, examples: Sequence[tuple[Cloud, int]]) -> tuple[Tensor, Tensor]:
        """(b, *input_shape) floats and (b,) labels."""
        clouds = np.empty((len(examples), *self.input_shape), np.float32)
        for place, (cloud, _) in enumerate(examples):
            clouds[place] = cloud
        return torch.from_numpy(clouds), torch.tensor([label for _, label in examples], dtype=torch.int64)

    def picture(self, inputs: Tensor) -> NDArray[np.uint8]:
        """(128, 128, 3) picture of one example's inputs; a grid is drawn as the cloud it holds."""
        return drawing.drawn(inputs.numpy().reshape(-1, 3))


def dataset() -> ModelNet40:
    """ModelNet40 with 2,048 points."""
    return ModelNet40()

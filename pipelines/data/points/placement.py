"""Clouds on a grid, for networks of images.

The paper arranges each cloud "randomly into a 2D grid" (section 4.3) for ResNet, ViT and the Transformer,
and says no more. Here points fill the rows of the grid in the order of `sampling.chosen`, which is random:
another one for a shape in every epoch of training, the same in every evaluation (both assumed).
"""

from __future__ import annotations

from lab.errors import SpecError
from pipelines.data.points.transforms import Cloud

Grid = tuple[int, int]
"""(height, width)"""


def on_grid(cloud: Cloud, grid: Grid) -> Cloud:
    """(height, width, 3): the points of a cloud (height x width, 3), row by row."""
    return cloud.reshape(*grid, 3)


def require_places(owner: str, grid: Grid, points: int) -> None:
    """Refuses, with SpecError, a grid that has not one place for every point."""
    height, width = grid
    if min(grid) < 1 or height * width != points:
        raise SpecError(
            f"{owner}.grid must have a place for each of the {points:,} points, got {height} x {width}: "
            f"set points={max(height * width, 1)}."
        )

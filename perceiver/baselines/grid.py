"""Inputs that networks of images can take: pixels, and clouds of points laid out on a square."""

from __future__ import annotations

import math

from perceiver.errors import ConfigError
from perceiver.modalities import Image, Points

GridInputs = Image | Points


def grid_of(inputs: GridInputs) -> tuple[int, int]:
    """Height and width of the grid on which the elements lie, row by row.

    The paper arranges each cloud "randomly into a 2D grid" (section 4.3): points come in no order, so a
    square takes them as they come. Raises ConfigError for a number of points that is no square.
    """
    if isinstance(inputs, Image):
        return inputs.height, inputs.width
    side = math.isqrt(inputs.number)
    if side * side != inputs.number:
        raise ConfigError(
            f"Points.number must be a square to lie on a grid, given {inputs.number}; "
            f"try {side**2} or {(side + 1) ** 2}"
        )
    return side, side

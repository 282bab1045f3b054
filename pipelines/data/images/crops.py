"""Which part of an image is used: a box (left, top, right, bottom) in pixels, from its size and draws."""

from __future__ import annotations

import math

from pipelines.data.counter import Draws

Box = tuple[int, int, int, int]

AREA = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
ATTEMPTS = 10
CENTRE = 224 / 256


def inception(width: int, height: int, draws: Draws) -> Box:
    """A random box of 8 to 100 % of the image with sides in a ratio from 3/4 to 4/3 (Szegedy et al. 2015).

    The area is uniform and the ratio uniform in its logarithm (assumed); after 10 boxes that do not fit,
    the centre.
    """
    for _ in range(ATTEMPTS):
        area = width * height * draws.uniform(*AREA)
        ratio = math.exp(draws.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            left, top = draws.integer(0, width - wide), draws.integer(0, height - high)
            return left, top, left + wide, top + high
    return centre(width, height)


def centre(width: int, height: int) -> Box:
    """The square in the middle whose side is 224/256 of the image's shorter one."""
    side = max(1, int(CENTRE * min(width, height)))
    left, top = (width - side + 1) // 2, (height - side + 1) // 2
    return left, top, left + side, top + side

"""How a scene is made: four discs on a photograph or on smooth noise, and two relations among them."""

from __future__ import annotations

import colorsys
import io
import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.counter import Draws

SIDE = 37
"""pixels, of which evaluation sees the 32 in the middle (224/256)"""
MARGIN = 7.0
"""of the centres of discs from the border, in pixels: the middle holds them whole"""
RADIUS = 3.5
"""of every disc, in pixels: no class has more of a colour than another"""
APART = (9.0, 15.0)
"""between the centres of a pair, in pixels"""
TILT = math.radians(25)
"""of a pair, at most, from the vertical or the horizontal"""
GAP = 1.5
"""between the rims of any two discs, at least, in pixels"""

MUTED = 0.6
"""contrast of what is behind the discs"""

RELATIONS = ("above", "below", "beside")
HUES = {"warm": (-0.03, 0.09), "cool": (0.54, 0.64), "green": (0.28, 0.38), "magenta": (0.80, 0.88)}
"""name of a disc -> turns around the colour circle; the first two are a pair, the last two the other"""
CLASSES = tuple(f"warm_{first}_cool-green_{second}_magenta" for first in RELATIONS for second in RELATIONS)

Pixels = NDArray[np.float64]
Place = tuple[float, float]


def scene(label: int, draws: Draws) -> bytes:
    """JPEG of one scene of the class."""
    from PIL import Image

    backdrop = _photograph(draws) if draws.integer(0, 1) else _noise(draws)
    pixels = 0.5 + MUTED * (backdrop - 0.5)
    for (low, high), place in zip(HUES.values(), places(label, draws), strict=True):
        colour = colorsys.hsv_to_rgb(
            draws.uniform(low, high) % 1, draws.uniform(0.7, 1), draws.uniform(0.65, 1)
        )
        pixels = _with_disc(pixels, place, colour)
    stream = io.BytesIO()
    image = Image.fromarray(np.asarray(np.rint(pixels * 255), np.uint8))
    image.save(stream, format="JPEG", quality=92, subsampling=0)
    return stream.getvalue()


def places(label: int, draws: Draws) -> tuple[Place, ...]:
    """Centres (down, right) of the warm, cool, green and magenta discs, none of which touch."""
    while True:
        centres = [centre for index in divmod(label, 3) for centre in _pair(RELATIONS[index], draws)]
        if all(_apart(a, b) >= 2 * RADIUS + GAP for i, a in enumerate(centres) for b in centres[:i]):
            return tuple(centres)


def _pair(relation: str, draws: Draws) -> Iterator[Place]:
    """Two centres, the first above, below or beside the second, each far enough inside the scene."""
    inside = (MARGIN, SIDE - MARGIN)
    while True:
        distance, tilt = draws.uniform(*APART), draws.uniform(-TILT, TILT)
        along, across = distance * math.cos(tilt), distance * math.sin(tilt)
        if relation == "beside":
            down, right = across, along if draws.integer(0, 1) else -along
        else:
            down, right = (-along if relation == "above" else along), across
        second = draws.uniform(*inside), draws.uniform(*inside)
        first = second[0] + down, second[1] + right
        if all(inside[0] <= value <= inside[1] for value in first):
            yield first
            yield second
            return


def _apart(a: Place, b: Place) -> float:
    return math.hypot(a[0] - b[0], a[1] - b[1])


def _with_disc(pixels: Pixels, place: Place, colour: tuple[float, float, float]) -> Pixels:
    rows, columns = np.ogrid[:SIDE, :SIDE]
    reach = np.hypot(rows + 0.5 - place[0], columns + 0.5 - place[1])
    cover = np.clip(RADIUS + 0.5 - reach, 0, 1)[:, :, None]
    return np.asarray(pixels * (1 - cover) + cover * np.array(colour))


def _noise(draws: Draws) -> Pixels:
    """Colours that change slowly over the scene."""
    from PIL import Image

    grid = np.array([draws.uniform(0, 255) for _ in range(4 * 4 * 3)], np.uint8).reshape(4, 4, 3)
    return np.asarray(Image.fromarray(grid).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 255


def _photograph(draws: Draws) -> Pixels:
    """A square piece of one of scikit-learn's two photographs."""
    from PIL import Image

    photograph = _photographs()[draws.integer(0, 1)]
    side = draws.integer(2 * SIDE, photograph.height)
    left, top = draws.integer(0, photograph.width - side), draws.integer(0, photograph.height - side)
    box = (left, top, left + side, top + side)
    return np.asarray(photograph.resize((SIDE, SIDE), Image.Resampling.BOX, box)) / 255


@cache
def _photographs() -> tuple[Any, ...]:
    from PIL import Image
    from sklearn.datasets import load_sample_images

    return tuple(Image.fromarray(image) for image in load_sample_images().images)

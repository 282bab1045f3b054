"""What is seen in EventClips: for each class a disc of one of four colours, in the upper or lower half."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

from pipelines.data.counter import Draws

SIDE = 32
"""pixels, of which evaluation sees the 28 in the middle (224/256)"""
RADIUS = 4.0
HEIGHTS = (0.33, 0.67)
"""of the sprites 0 to 3 and 4 to 7, from the top; sprites k and k + 4 are else alike"""
HUES = (0.0, 0.17, 0.5, 0.75)
"""red, yellow, cyan, violet, in turns around the colour circle"""


def film(labels: list[int], frames: int, draws: Draws) -> NDArray[np.uint8]:
    """(frames, 32, 32, 3): the sprites of these classes going to and fro on a still backdrop."""
    shown = np.repeat(_backdrop(draws)[None], frames, axis=0)
    time = np.arange(frames)
    for label in labels:
        colour = colorsys.hsv_to_rgb(HUES[label % 4] + draws.uniform(-0.03, 0.03), draws.uniform(0.7, 1), 1)
        down = SIDE * (HEIGHTS[label // 4] + draws.uniform(-0.06, 0.06))
        turn = np.modf(time * draws.uniform(0.01, 0.03) + draws.uniform())[0]
        right = RADIUS + 3 + (SIDE - 2 * RADIUS - 6) * np.abs(2 * turn - 1)
        shown = _with_disc(shown, down, right, np.array(colour) * draws.uniform(0.7, 1))
    return np.asarray(np.rint(255 * shown), np.uint8)


def _with_disc(
    shown: NDArray[np.float64], down: float, right: NDArray[np.float64], colour: NDArray[np.float64]
) -> NDArray[np.float64]:
    place = np.arange(SIDE) + 0.5
    reach = np.hypot((place - down)[None, :, None], place[None, None] - right[:, None, None])
    cover = np.clip(RADIUS + 0.5 - reach, 0, 1)[..., None]
    return np.asarray(shown * (1 - cover) + cover * colour)


def _backdrop(draws: Draws) -> NDArray[np.float64]:
    """Muted colours that change slowly over the picture."""
    from PIL import Image

    grid = np.array([draws.uniform(40, 215) for _ in range(3 * 3 * 3)], np.uint8).reshape(3, 3, 3)
    return np.asarray(Image.fromarray(grid).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 255

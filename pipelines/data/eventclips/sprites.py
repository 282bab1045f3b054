"""What is seen in EventClips: discs that rise, or fall, which is the same film backwards."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.data.counter import Draws
from pipelines.data.eventclips.events import Event

SIDE = 32
"""pixels, of which evaluation sees the 28 in the middle (224/256)"""
RADIUS = 4.0


def film(events: Sequence[Event], frames: int, draws: Draws) -> NDArray[np.uint8]:
    """(frames, 32, 32, 3): the sprites of these events on a still backdrop."""
    shown = np.repeat(_backdrop(draws)[None], frames, axis=0)
    for event in events:
        if event.hue is not None:
            colour = colorsys.hsv_to_rgb(event.hue + draws.uniform(-0.03, 0.03), draws.uniform(0.7, 1), 1)
            brightness = draws.uniform(0.7, 1)
            right = SIDE * draws.uniform(0.25, 0.75)
            shown = _with_disc(shown, heights(event, frames, draws), right, brightness * np.array(colour))
    return np.asarray(np.rint(255 * shown), np.uint8)


def heights(event: Event, frames: int, draws: Draws) -> NDArray[np.float64]:
    """(frames,) pixels from the top to the middle of its disc, which is about half way at half time."""
    speed = SIDE * draws.uniform(0.05, 0.08)
    middle = SIDE * draws.uniform(0.42, 0.58)
    rising = np.asarray(middle - speed * (np.arange(frames) - (frames - 1) / 2), np.float64)
    return rising[::-1] if event.backwards else rising


def _with_disc(
    shown: NDArray[np.float64], down: NDArray[np.float64], right: float, colour: NDArray[np.float64]
) -> NDArray[np.float64]:
    place = np.arange(SIDE) + 0.5
    reach = np.hypot(place[None, :, None] - down[:, None, None], place[None, None] - right)
    cover = np.clip(RADIUS + 0.5 - reach, 0, 1)[..., None]
    return np.asarray(shown * (1 - cover) + cover * colour)


def _backdrop(draws: Draws) -> NDArray[np.float64]:
    """Muted colours that change slowly over the picture."""
    from PIL import Image

    grid = np.array([draws.uniform(40, 215) for _ in range(3 * 3 * 3)], np.uint8).reshape(3, 3, 3)
    return np.asarray(Image.fromarray(grid).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 255

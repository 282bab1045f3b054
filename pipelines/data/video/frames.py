"""Video as frames of standardised colours (paper section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lab.errors import SpecError
from pipelines.data.counter import Draws
from pipelines.data.images import crops
from pipelines.data.images.colour import Colour
from pipelines.data.images.resize import cropped, flipped, resized

MEAN = np.array([0.485, 0.456, 0.406], np.float32) * 255
STD = np.array([0.229, 0.224, 0.225], np.float32) * 255
"""Per channel, of 8-bit values: ImageNet's (assumed)."""


@dataclass(frozen=True)
class Frames:
    """Square frames of `size` pixels (stated: 224), resized bicubically with antialiasing (assumed).

    Training: an Inception crop, a flip half of the time and a change of colours (stated, settings assumed),
    the same for all frames of an example. Evaluation: the centre, 224/256 of the shorter side (assumed).
    """

    size: int = 224
    colour: Colour | None = field(default_factory=Colour)

    def __post_init__(self) -> None:
        if self.size < 1:
            raise SpecError(f"Frames.size is in pixels and must be 1 or more, got {self.size}.")

    def shape(self, frames: int) -> tuple[int, int, int, int]:
        """(frames, size, size, 3)"""
        return frames, self.size, self.size, 3

    def of(self, film: NDArray[np.uint8], draws: Draws | None = None) -> NDArray[np.uint8]:
        """(t, size, size, 3) of RGB frames (t, h, w, 3), as training sees them if there are draws."""
        height, width = film.shape[1:3]
        box = crops.inception(width, height, draws) if draws else crops.centre(width, height)
        pixels = np.stack([resized(cropped(frame, box), self.size, self.size) for frame in film])
        if draws and draws.integer(0, 1):
            pixels = flipped(pixels.reshape(-1, self.size, 3)).reshape(pixels.shape)
        return self.colour(pixels, draws) if self.colour and draws else pixels


def standardised(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Floats with mean 0 and deviation 1 per colour, of (..., width, 3)."""
    # Whole rows at a time: numpy is four times slower over an axis of three.
    rows = pixels.reshape(*pixels.shape[:-2], -1)
    width = pixels.shape[-2]
    floats = np.multiply(rows, np.tile(1 / STD, width), dtype=np.float32)
    floats -= np.tile(MEAN / STD, width)
    return floats.reshape(pixels.shape)


def unstandardised(floats: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The 8-bit pixels of standardised floats."""
    return np.asarray(np.clip(np.rint(floats * STD + MEAN), 0, 255), np.uint8)

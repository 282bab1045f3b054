"""Video as frames of standardised colours (paper section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lab.errors import SpecError
from perceiver import Pixels
from pipelines.data.counter import Draws
from pipelines.data.images import crops
from pipelines.data.images.colour import Colour
from pipelines.data.images.resize import cropped, resized
from pipelines.data.video.colour import tables
from pipelines.data.video.film import Film

PIXELS = Pixels(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""What 8-bit values are standardised by: ImageNet's (assumed)."""

_MEAN, _STD = 255 * np.array(PIXELS.mean, np.float32), 255 * np.array(PIXELS.std, np.float32)


Values = NDArray[Any]
"""What a model is given: floats, or 8-bit pixels."""


@dataclass(frozen=True)
class Frames:
    """Square frames of `size` pixels (stated: 224), resized bicubically with antialiasing (assumed).

    Training: an Inception crop, a flip half of the time and a change of colours (stated, settings assumed),
    the same for all frames of an example. Evaluation: the centre, 224/256 of the shorter side (assumed).

    eight_bit: frames are left as 8-bit RGB, which a model with `Video(..., pixels=PIXELS)` standardises
    itself, to the same result in a quarter of the memory and two thirds of the CPU time
    crop: what training takes of a frame
    """

    size: int = 224
    colour: Colour | None = field(default_factory=Colour)
    eight_bit: bool = False
    crop: Literal["inception", "centre"] = "inception"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise SpecError(f"Frames.size is in pixels and must be 1 or more, got {self.size}.")
        if self.crop not in ("inception", "centre"):
            raise SpecError(f"Frames.crop must be 'inception' or 'centre', got {self.crop!r}.")

    def shape(self, frames: int) -> tuple[int, int, int, int]:
        """(frames, size, size, 3)"""
        return frames, self.size, self.size, 3

    def of(self, film: Film, draws: Draws | None = None) -> NDArray[np.uint8]:
        """(t, size, size, 3) RGB of t frames, as training sees them if there are draws."""
        random = draws if self.crop == "inception" else None
        width, height = film.width, film.height
        box = crops.inception(width, height, random) if random else crops.centre(width, height)
        part, box = film.cut(box, mirrored=draws is not None and draws.integer(0, 1) == 1)
        change = tables(part, self.colour, draws) if self.colour and draws else None
        pixels = np.empty((len(film.luma), self.size, self.size, 3), np.uint8)
        for place, picture in enumerate(part.pictures(change)):
            pixels[place] = resized(cropped(picture, box), self.size, self.size)
        return pixels

    def values(self, pixels: NDArray[np.uint8]) -> Values:
        """What a model is given for (..., width, 3) 8-bit RGB: floats with mean 0 and deviation 1 per colour,
        or the same.
        """
        return pixels if self.eight_bit else standardised(pixels)

    def zeros(self, shape: tuple[int, ...]) -> Values:
        """What a model is given for (..., 3) of nothing: zeros, or the 8 bits that come nearest to them."""
        if self.eight_bit:
            return np.full(shape, np.rint(_MEAN), np.uint8)
        return np.zeros(shape, np.float32)


def standardised(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Floats with mean 0 and deviation 1 per colour, of (..., width, 3)."""
    # Whole rows at a time: numpy is four times slower over an axis of three.
    rows = pixels.reshape(*pixels.shape[:-2], -1)
    width = pixels.shape[-2]
    floats = np.multiply(rows, np.tile(1 / _STD, width), dtype=np.float32)
    floats -= np.tile(_MEAN / _STD, width)
    return floats.reshape(pixels.shape)


def shown(values: Values) -> NDArray[np.uint8]:
    """The 8-bit RGB of what a model is given."""
    if values.dtype == np.uint8:
        return np.asarray(values)
    return np.asarray(np.clip(np.rint(values * _STD + _MEAN), 0, 255), np.uint8)

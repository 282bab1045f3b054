"""Colour jitter: brightness, saturation and contrast of a picture, changed at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL.Image import fromarray

from lab.errors import SpecError
from pipelines.data.counter import Draws

LUMA = np.array([0.299, 0.587, 0.114])
"""Of red, green and blue in the grey level of a pixel (ITU-R BT.601)."""


@dataclass(frozen=True)
class Colour:
    """Three factors, each uniform in [1 - range, 1 + range]; a range of 0 leaves its property alone.

    Brightness blends with black, saturation with the grey level of each pixel, contrast with the mean grey
    level of the picture, in this order. The paper names colour augmentation (section 4.2) and no settings:
    the ranges, the order, and rounding once at the end are assumed.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= (reach := getattr(self, name)) <= 1:
                raise SpecError(
                    f"Colour.{name} is how far a factor may be from 1 and goes from 0 to 1, got {reach}."
                )

    def factors(self, draws: Draws) -> tuple[float, float, float]:
        """Of brightness, saturation and contrast."""
        brightness, saturation, contrast = (
            draws.uniform(1 - each, 1 + each) for each in (self.brightness, self.saturation, self.contrast)
        )
        return brightness, saturation, contrast

    def __call__(self, pixels: NDArray[np.uint8], draws: Draws) -> NDArray[np.uint8]:
        """An RGB picture (h, w, 3). A film has a cheaper way (`pipelines.data.video.colour`)."""
        brightness, saturation, contrast = self.factors(draws)
        picture = fromarray(pixels)
        grey = float(np.asarray(picture.convert("L")).mean())
        gain = saturation * np.eye(3) + (1 - saturation) * np.tile(LUMA, (3, 1))
        change = np.column_stack(
            [contrast * brightness * gain, np.full(3, (1 - contrast) * brightness * grey)]
        )
        return np.asarray(picture.convert("RGB", tuple(change.ravel().tolist())))

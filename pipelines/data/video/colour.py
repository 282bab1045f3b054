"""Colour jitter of a film, where it costs a table: in the luma and chroma that it is stored in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.data.counter import Draws
from pipelines.data.images.colour import Colour
from pipelines.data.video.film import Film, Tables

BLACK, NEUTRAL = 16, 128
"""The luma of black and the chromas of grey in 8 bits (ITU-R BT.601)."""


def tables(film: Film, colour: Colour, draws: Draws) -> Tables:
    """The change of colours that a picture would get from the same draws, one for all frames of a film.

    Luma is the grey level: brightness and contrast stretch luma and chroma alike, saturation the chroma
    alone, and the mean grey level is the mean luma of the film. Luma and chroma
    are rounded to 8 bits, up to 1.6 levels of RGB, and clipped only there and in RGB: not between the three
    changes, and a chroma sooner than the colours it makes.
    """
    brightness, saturation, contrast = colour.factors(draws)
    gain = brightness * contrast
    mean = brightness * (float(film.luma.mean()) - BLACK)
    levels = np.arange(256.0)
    luma = BLACK + gain * (levels - BLACK) + (1 - contrast) * mean
    chroma = NEUTRAL + gain * saturation * (levels - NEUTRAL)
    return _eight_bit(luma), _eight_bit(chroma)


def _eight_bit(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)

"""Colour jitter against the same three steps in floats, one after the other."""

import numpy as np
import pytest
from PIL import Image

from lab.errors import SpecError
from pipelines.data import Colour
from pipelines.data.counter import Draws

NOISE = np.random.default_rng(0).integers(60, 160, (40, 60, 3), np.uint8)
PHOTO = np.asarray(Image.fromarray(NOISE).resize((90, 80)))
LUMA = np.array([0.299, 0.587, 0.114])


def stepwise(pixels: np.ndarray, brightness: float, saturation: float, contrast: float) -> np.ndarray:
    """Each step blends with what it is measured from: black, each pixel's grey, the mean grey."""
    bright = brightness * pixels.astype(float)
    grey = (bright @ LUMA)[..., None]
    saturated = grey + saturation * (bright - grey)
    mean = (saturated @ LUMA).mean()
    return np.clip(mean + contrast * (saturated - mean), 0, 255)


@pytest.mark.parametrize("example", range(20))
@pytest.mark.parametrize("pixels", [NOISE, PHOTO], ids=["noise", "smooth"])
def test_one_change_is_brightness_then_saturation_then_contrast(pixels: np.ndarray, example: int) -> None:
    data = Draws.of(0, 0, example)
    factors = [data.uniform(1 - reach, 1 + reach) for reach in (0.4, 0.3, 0.2)]
    result = Colour(brightness=0.4, saturation=0.3, contrast=0.2)(pixels, Draws.of(0, 0, example))
    assert (result.shape, result.dtype) == (pixels.shape, np.uint8)
    assert np.abs(result - stepwise(pixels, *factors)).max() < 1


def test_factors_cover_their_ranges() -> None:
    """Of a grey picture only the brightness can change, and tells the factor."""
    plain = np.full((4, 4, 3), 150, np.uint8)
    factors = [Colour()(plain, Draws.of(0, 0, example)).mean() / 150 for example in range(500)]
    assert 0.595 < min(factors) < 0.62
    assert 1.38 < max(factors) < 1.405
    assert abs(np.mean(factors) - 1) < 0.03


def test_no_range_leaves_the_picture_as_it_is() -> None:
    assert (Colour(0, 0, 0)(NOISE, Draws(1)) == NOISE).all()


def test_impossible_ranges_are_refused() -> None:
    with pytest.raises(SpecError, match=r"Colour.contrast is how far a factor may be from 1 .* got 1.5"):
        Colour(contrast=1.5)

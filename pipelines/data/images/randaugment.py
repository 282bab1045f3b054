"""RandAugment (Cubuk et al. 2020): a few operations in a row, drawn from a fixed list, equally strong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ImageChops, ImageEnhance, ImageOps
from PIL.Image import Image, Transform, fromarray

from lab.errors import SpecError
from pipelines.data.counter import Draws

STRONGEST = 10
FILL = (128, 128, 128)
"""Where an operation leaves nothing of the picture."""


@dataclass(frozen=True)
class RandAugment:
    """`layers` times: one of the sixteen OPERATIONS, each as likely as the others.

    Stated: that it was used (section 4.1), and as 4 layers of magnitude 5 (Perceiver IO, appendix A.1). The
    operations and what a magnitude from 0 to 10 means are the official code's, which applies them to 8-bit
    crops before they are resized (docs/paper.md section 3.2): a shift of 50 pixels is most of a small crop.
    At magnitude 5 the factor of Color, Contrast, Brightness and Sharpness is 1, so that a quarter of the
    layers change nothing.
    """

    layers: int = 4
    magnitude: float = 5.0

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise SpecError(
                f"RandAugment.layers must be 1 or more, got {self.layers}; no RandAugment is augment=None."
            )
        if not 0 <= self.magnitude <= STRONGEST:
            raise SpecError(f"RandAugment.magnitude goes from 0 to {STRONGEST}, got {self.magnitude}.")

    def __call__(self, pixels: NDArray[np.uint8], draws: Draws) -> NDArray[np.uint8]:
        """An RGB picture (h, w, 3) of any size, augmented."""
        operations = tuple(OPERATIONS.values())
        image = fromarray(pixels)
        for _ in range(self.layers):
            operation = operations[draws.integer(0, len(operations) - 1)]
            image = operation(image, self.magnitude / STRONGEST, draws)
        return np.asarray(image)


Operation = Callable[[Image, float, Draws], Image]
"""A picture, how strong from 0 to 1, and the draws for a direction or a place."""


def auto_contrast(image: Image, strength: float, draws: Draws) -> Image:
    """Each channel stretched to the whole range."""
    return ImageOps.autocontrast(image)


def equalize(image: Image, strength: float, draws: Draws) -> Image:
    """Each channel's levels spread until they are equally frequent."""
    return ImageOps.equalize(image)


def invert(image: Image, strength: float, draws: Draws) -> Image:
    return ImageChops.invert(image)


def posterize(image: Image, strength: float, draws: Draws) -> Image:
    """The highest 4 x strength bits are kept: the stronger, the less is lost, as in the official code.

    At least one is kept (assumed): none would leave black, and is undefined there.
    """
    return ImageOps.posterize(image, max(1, int(strength * 4)))


def solarize(image: Image, strength: float, draws: Draws) -> Image:
    """Levels from 256 x strength up are inverted."""
    return ImageOps.solarize(image, int(strength * 256))


def solarize_add(image: Image, strength: float, draws: Draws) -> Image:
    """Levels below 128 are raised by 110 x strength."""
    raised = int(strength * 110)
    return image.point([min(255, level + raised) if level < 128 else level for level in range(256)] * 3)


def color(image: Image, strength: float, draws: Draws) -> Image:
    """Away from grey, or towards it."""
    return _enhanced(image, strength, ImageEnhance.Color)


def contrast(image: Image, strength: float, draws: Draws) -> Image:
    """Away from the mean grey level, or towards it (the official code takes a level that depends on the
    size of the picture instead).
    """
    return _enhanced(image, strength, ImageEnhance.Contrast)


def brightness(image: Image, strength: float, draws: Draws) -> Image:
    """Away from black, or towards it."""
    return _enhanced(image, strength, ImageEnhance.Brightness)


def sharpness(image: Image, strength: float, draws: Draws) -> Image:
    """Away from the picture smoothed over 3 x 3 pixels, or towards it."""
    return _enhanced(image, strength, ImageEnhance.Sharpness)


def rotate(image: Image, strength: float, draws: Draws) -> Image:
    """By 30 degrees x strength about the centre."""
    return image.rotate(_either_way(30 * strength, draws), fillcolor=FILL)


def shear_x(image: Image, strength: float, draws: Draws) -> Image:
    """Each row moved by 0.3 x strength of its distance from the first."""
    slope = _either_way(0.3 * strength, draws)
    return _mapped(image, (1, slope, -slope / 2, 0, 1, 0))


def shear_y(image: Image, strength: float, draws: Draws) -> Image:
    """Each column moved by 0.3 x strength of its distance from the first."""
    slope = _either_way(0.3 * strength, draws)
    return _mapped(image, (1, 0, 0, slope, 1, -slope / 2))


def translate_x(image: Image, strength: float, draws: Draws) -> Image:
    """By 100 pixels x strength, whatever the size of the picture."""
    return _mapped(image, (1, 0, _either_way(100 * strength, draws), 0, 1, 0))


def translate_y(image: Image, strength: float, draws: Draws) -> Image:
    """By 100 pixels x strength, whatever the size of the picture."""
    return _mapped(image, (1, 0, 0, 0, 1, _either_way(100 * strength, draws)))


def cutout(image: Image, strength: float, draws: Draws) -> Image:
    """A square of 80 pixels x strength is taken out; its centre is anywhere in the picture."""
    half = int(strength * 40)
    x, y = draws.integer(0, image.width - 1), draws.integer(0, image.height - 1)
    image = image.copy()
    image.paste(FILL, (x - half, y - half, x + half, y + half))
    return image


def _enhanced(image: Image, strength: float, kind: Callable[[Image], ImageEnhance._Enhance]) -> Image:
    factor = 1.8 * strength + 0.1
    # Pillow would make the picture to blend with and then take nothing of it.
    return image if factor == 1 else kind(image).enhance(factor)


def _mapped(image: Image, matrix: tuple[float, float, float, float, float, float]) -> Image:
    """The picture whose point (x, y) shows the nearest pixel at matrix (x, y, 1) of `image`."""
    return image.transform(image.size, Transform.AFFINE, matrix, fillcolor=FILL)


def _either_way(amount: float, draws: Draws) -> float:
    return amount if draws.integer(0, 1) else -amount


OPERATIONS: dict[str, Operation] = {
    "AutoContrast": auto_contrast,
    "Equalize": equalize,
    "Invert": invert,
    "Rotate": rotate,
    "Posterize": posterize,
    "Solarize": solarize,
    "Color": color,
    "Contrast": contrast,
    "Brightness": brightness,
    "Sharpness": sharpness,
    "ShearX": shear_x,
    "ShearY": shear_y,
    "TranslateX": translate_x,
    "TranslateY": translate_y,
    "Cutout": cutout,
    "SolarizeAdd": solarize_add,
}
"""By the names of the RandAugment paper, in the official code's order."""

"""Where ImageNet's augmentations come in: crop, flip, RandAugment or colours, and only then the resize."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lab.errors import SpecError
from pipelines.data import Colour, ImageNet, RandAugment
from pipelines.data.counter import Draws

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)).resize((640, 512))


def row() -> dict[str, Any]:
    stream = io.BytesIO()
    PHOTO.save(stream, "PNG")
    return {"key": "x", "label": 3, "image": stream.getvalue()}


def centre(pixels: np.ndarray) -> np.ndarray:
    """448 of 512 pixels."""
    return pixels[32:480, 96:544]


@pytest.mark.parametrize("augment", [RandAugment(), RandAugment(2, 9), Colour(), None], ids=str)
def test_training_augments_the_crop_and_then_resizes_it(augment: Any) -> None:
    data = ImageNet(crop="centre", flip=False, augment=augment)
    for example in range(5):
        pixels, label = data.decode(row(), Draws.of(0, 0, example))
        cropped = centre(np.asarray(PHOTO))
        changed = augment(cropped, Draws.of(0, 0, example)) if augment else cropped
        expected = np.asarray(Image.fromarray(changed).resize((224, 224), Image.Resampling.BICUBIC))
        assert np.abs(pixels - expected.astype(int)).max() <= 2
        assert label == 3


def test_evaluation_is_not_augmented() -> None:
    plain, _ = ImageNet(flip=False, augment=None).decode(row(), None)
    for data in (ImageNet(), ImageNet(augment=Colour()), ImageNet(augment=RandAugment(magnitude=10))):
        assert (data.decode(row(), None)[0] == plain).all()


def test_a_flip_is_drawn_between_crop_and_augmentation() -> None:
    """With the draw that decides on it being the first, where the crop is not drawn."""
    data = ImageNet(crop="centre", augment=RandAugment(1, 9))
    flips = 0
    for example in range(12):
        draws = Draws.of(0, 0, example)
        flip = draws.integer(0, 1)
        cropped = centre(np.asarray(PHOTO))
        changed = RandAugment(1, 9)(cropped[:, ::-1] if flip else cropped, draws)
        expected = np.asarray(Image.fromarray(changed).resize((224, 224), Image.Resampling.BICUBIC))
        pixels, _ = data.decode(row(), Draws.of(0, 0, example))
        assert np.abs(pixels - expected.astype(int)).max() <= 2
        flips += flip
    assert 0 < flips < 12


def test_the_paper_s_augmentation_is_the_default() -> None:
    """RandAugment without MixUp and CutMix, of 4 layers at magnitude 5 (docs/paper.md section 3.1)."""
    assert ImageNet() == ImageNet(224, "inception", True, RandAugment(layers=4, magnitude=5), None)
    with pytest.raises(SpecError, match=r"ImageNet\.crop must be 'inception' or 'centre', got 'random'"):
        ImageNet(crop="random")  # type: ignore[arg-type]

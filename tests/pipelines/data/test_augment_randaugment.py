"""RandAugment's operations against their definitions, written out with numpy and scipy."""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import affine_transform, convolve

from lab.errors import SpecError
from pipelines.data.counter import Draws
from pipelines.data.images.randaugment import OPERATIONS, RandAugment

Pixels = np.ndarray

OFFICIAL = """AutoContrast Equalize Invert Rotate Posterize Solarize Color Contrast Brightness Sharpness
ShearX ShearY TranslateX TranslateY Cutout SolarizeAdd"""
NOISE = np.random.default_rng(0).integers(20, 230, (105, 121, 3), np.uint8)
SMOOTH = np.asarray(Image.fromarray(NOISE).resize((300, 200)))[:140, :160].copy()


def applied(name: str, pixels: Pixels, magnitude: float, key: int = 0) -> Pixels:
    return np.asarray(OPERATIONS[name](Image.fromarray(pixels), magnitude / 10, Draws(key)))


def test_the_list_is_the_official_code_s() -> None:
    """As docs/paper.md section 3.2 has it."""
    assert list(OPERATIONS) == OFFICIAL.split()


def by_channel(function: Callable[[Pixels], Pixels]) -> Callable[[Pixels], Pixels]:
    return lambda pixels: np.stack([function(pixels[:, :, channel]) for channel in range(3)], axis=2)


@by_channel
def stretched(channel: Pixels) -> Pixels:
    low, high = channel.min(), channel.max()
    return (channel.astype(float) - low) * 255 / (high - low)


@by_channel
def equalized(channel: Pixels) -> Pixels:
    """A level becomes the number of pixels below it, in steps of 1/255 of all but the brightest."""
    step = int((channel < channel.max()).sum()) // 255
    if step == 0:
        return channel
    below = np.array([(channel < level).sum() for level in range(256)])
    return np.minimum((below + step // 2) // step, 255)[channel]


def grey(pixels: Pixels) -> Pixels:
    return pixels @ np.array([0.299, 0.587, 0.114])


def blended(degenerate: Pixels, pixels: Pixels, magnitude: float) -> Pixels:
    """At level m of 10 the picture weighs 1.8 m / 10 + 0.1, beyond 1 away from the degenerate one."""
    factor = magnitude / 10 * 1.8 + 0.1
    return np.clip(degenerate + factor * (pixels - degenerate), 0, 255)


def smoothed(pixels: Pixels) -> Pixels:
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    blurred = convolve(pixels.astype(float), kernel[:, :, None])
    blurred[[0, -1]], blurred[:, [0, -1]] = pixels[[0, -1]], pixels[:, [0, -1]]
    return blurred


TONES: dict[str, Callable[[Pixels, float], Pixels]] = {
    "AutoContrast": lambda pixels, m: stretched(pixels),
    "Equalize": lambda pixels, m: equalized(pixels),
    "Invert": lambda pixels, m: 255 - pixels,
    "Posterize": lambda pixels, m: pixels // 2 ** (8 - int(0.4 * m)) * 2 ** (8 - int(0.4 * m)),
    "Solarize": lambda pixels, m: np.where(pixels < int(25.6 * m), pixels, 255 - pixels),
    "SolarizeAdd": lambda pixels, m: np.where(
        pixels < 128, np.minimum(255, pixels.astype(int) + int(11 * m)), pixels
    ),
    "Color": lambda pixels, m: blended(grey(pixels)[:, :, None], pixels, m),
    "Contrast": lambda pixels, m: blended(grey(pixels).mean(), pixels, m),
    "Brightness": lambda pixels, m: blended(np.zeros(3), pixels, m),
    "Sharpness": lambda pixels, m: blended(smoothed(pixels), pixels, m),
}
EXACT = {"Equalize", "Invert", "Posterize", "Solarize", "SolarizeAdd"}


@pytest.mark.parametrize("magnitude", [2.5, 5, 9, 10])
@pytest.mark.parametrize("pixels", [NOISE, SMOOTH], ids=["noise", "smooth"])
@pytest.mark.parametrize("name", TONES)
def test_a_change_of_tones_is_its_definition(name: str, pixels: Pixels, magnitude: float) -> None:
    """To a level; two where a rounded grey is blended, times the factor."""
    off = np.abs(applied(name, pixels, magnitude) - TONES[name](pixels, magnitude))
    assert off.max() <= (0 if name in EXACT else 2.5)


@pytest.mark.parametrize("name", ["AutoContrast", "Equalize"])
def test_a_picture_of_one_colour_has_no_contrast_to_change(name: str) -> None:
    plain = np.full((9, 7, 3), (10, 128, 250), np.uint8)
    assert (applied(name, plain, 5) == plain).all()


def moved(pixels: Pixels, matrix: Pixels, offset: Pixels) -> Pixels:
    """The nearest pixel at matrix @ (row, column) + offset, grey where there is none."""
    return by_channel(
        lambda channel: affine_transform(channel, matrix, offset, order=0, mode="grid-constant", cval=128)
    )(pixels)


def rotated(pixels: Pixels, amount: float) -> Pixels:
    """About the middle of the picture."""
    angle = math.radians(amount)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    middle = (np.array(pixels.shape[:2]) - 1) / 2
    return moved(pixels, turn, middle - turn @ middle)


PLACES: dict[str, tuple[float, Callable[[Pixels, float], Pixels]]] = {
    "Rotate": (30, rotated),
    "ShearX": (0.3, lambda pixels, by: moved(pixels, np.array([[1, 0], [by, 1]]), np.zeros(2))),
    "ShearY": (0.3, lambda pixels, by: moved(pixels, np.array([[1, by], [0, 1]]), np.zeros(2))),
    "TranslateX": (100, lambda pixels, by: moved(pixels, np.eye(2), np.array([0, by]))),
    "TranslateY": (100, lambda pixels, by: moved(pixels, np.eye(2), np.array([by, 0]))),
}


@pytest.mark.parametrize("magnitude", [1.01, 4.99, 9.97])
@pytest.mark.parametrize("name", PLACES)
def test_a_change_of_places_is_its_definition_in_either_direction(name: str, magnitude: float) -> None:
    """In noise every pixel tells where it comes from. At round magnitudes whole rows lie half-way between
    two."""
    most, definition = PLACES[name]
    both = [definition(NOISE, way * most * magnitude / 10) for way in (1, -1)]
    seen = Counter[int]()
    for key in range(40):
        result = applied(name, NOISE, magnitude, key)
        wrong = [(result != expected).any(axis=2).mean() for expected in both]
        assert min(wrong) < 0.003
        seen[wrong.index(min(wrong))] += 1
    assert min(seen[0], seen[1]) > 8


@pytest.mark.parametrize("magnitude", [1, 5, 10])
def test_cutout_is_a_grey_square_with_its_centre_anywhere(magnitude: int) -> None:
    height, width, half = 30, 44, 4 * magnitude
    pixels = np.zeros((height, width, 3), np.uint8)
    cut = np.stack([applied("Cutout", pixels, magnitude, key) for key in range(3000)])
    assert set(np.unique(cut)) == {0, 128}
    grey = cut[..., 0] == 128
    rows, columns = grey.any(axis=2), grey.any(axis=1)
    assert (grey == rows[:, :, None] & columns[:, None, :]).all()

    def chance(size: int) -> Pixels:
        """That a place is less than `half` after the centre, or at most so much before it."""
        places = np.arange(size)
        centres = places[:, None]
        return ((places >= centres - half) & (places < centres + half)).mean(axis=0)

    expected = chance(height)[:, None] * chance(width)
    assert np.abs(grey.mean(axis=0) - expected).max() < 0.05


def test_the_official_setting_is_the_default_and_a_quarter_of_it_does_nothing() -> None:
    """4 of 16 operations have factor 1 at magnitude 5; all others change this picture."""
    assert RandAugment() == RandAugment(layers=4, magnitude=5)
    unchanged = [(RandAugment(layers=1)(SMOOTH, Draws.of(0, 0, i)) == SMOOTH).all() for i in range(2000)]
    assert 0.21 < np.mean(unchanged) < 0.29


def test_each_operation_is_drawn_as_often_as_the_others() -> None:
    """Which it was, the picture tells, at a magnitude where no two operations do the same."""
    pixels, seen = NOISE[:66, :66].copy(), Counter[str]()
    for example in range(1600):
        draws = Draws.of(0, 0, example)
        result = RandAugment(layers=1, magnitude=6)(pixels, draws)
        for name, operation in OPERATIONS.items():
            made = operation(Image.fromarray(pixels), 0.6, Draws(draws.key, taken=1))
            seen[name] += np.array_equal(np.asarray(made), result)
    assert sum(seen.values()) == 1600
    assert 60 < min(seen.values()) <= max(seen.values()) < 145


def test_layers_follow_one_another() -> None:
    for example in range(20):
        draws = Draws.of(3, 1, example)
        once = RandAugment(layers=1)(SMOOTH, draws)
        twice = RandAugment(layers=1)(once, draws)
        assert (RandAugment(layers=2)(SMOOTH, Draws.of(3, 1, example)) == twice).all()


def test_the_same_seed_epoch_and_example_give_the_same_picture() -> None:
    before = SMOOTH.copy()
    seen = {
        RandAugment()(SMOOTH, Draws.of(seed, epoch, example)).tobytes()
        for seed in range(2)
        for epoch in range(2)
        for example in range(10)
        for _ in range(2)
    }
    assert 30 < len(seen) <= 40
    assert (before == SMOOTH).all()


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 50, 3), (50, 2, 3), (375, 500, 3)])
def test_a_picture_of_any_size_keeps_it(shape: tuple[int, int, int]) -> None:
    pixels = np.full(shape, 77, np.uint8)
    for example in range(60):
        result = RandAugment(magnitude=9)(pixels, Draws.of(0, 0, example))
        assert (result.shape, result.dtype) == (shape, np.uint8)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(SpecError, match=r"layers must be 1 or more, got 0; no RandAugment is augment=None"):
        RandAugment(layers=0)
    with pytest.raises(SpecError, match="magnitude goes from 0 to 10, got 30"):
        RandAugment(magnitude=30)

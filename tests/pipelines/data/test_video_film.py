"""A film as it is stored: cut, mirrored and recoloured, it shows what its RGB frames would under the same."""

import io
from typing import Any

import av
import numpy as np
import pytest

from pipelines.data import Colour
from pipelines.data.counter import Draws
from pipelines.data.video import read
from pipelines.data.video.colour import tables
from pipelines.data.video.film import Film, Tables
from pipelines.data.video.transcode import encoded

RNG = np.random.default_rng(0)
Pixels = np.ndarray[Any, Any]


def noise(frames: int, height: int, width: int, low: int = 0, high: int = 256) -> Film:
    shapes = (frames, height, width), (frames, 2, height // 2, width // 2)
    return Film(*(RNG.integers(low, high, shape, np.uint8) for shape in shapes))


def rgb(film: Film, change: Tables | None = None) -> Pixels:
    return np.stack(list(film.pictures(change)))


def in_floats(film: Film) -> Pixels:
    """ITU-R BT.601's own equations, before any rounding or clipping; each chroma is that of four pixels."""
    luma = (film.luma.astype(float) - 16) / 219
    blue, red = ((film.chroma[:, k].astype(float) - 128) / 224 for k in range(2))
    blue, red = (plane.repeat(2, axis=1).repeat(2, axis=2) for plane in (blue, red))
    r, b = luma + 1.402 * red, luma + 1.772 * blue
    return 255 * np.stack([r, (luma - 0.299 * r - 0.114 * b) / 0.587, b], axis=-1)


def moderate(frames: int, height: int, width: int) -> Film:
    """One whose colours no change takes out of 8 bits."""
    film = noise(frames, height, width)
    film.luma[:] = RNG.integers(70, 110, film.luma.shape)
    film.chroma[:] = RNG.integers(120, 137, film.chroma.shape)
    return film


def test_pictures_are_those_of_the_standard_s_equations() -> None:
    """To FFmpeg's quickest arithmetic, which only ever rounds down."""
    film = noise(3, 34, 46, 16, 236)
    below = np.clip(in_floats(film), 0, 255) - rgb(film)
    assert -0.01 <= below.min() <= below.max() <= 3
    assert below.mean() < 1.2


def test_frames_of_ffmpeg_are_the_same_film() -> None:
    pixels = RNG.integers(0, 256, (4, 64, 96, 3), np.uint8)
    frames = [av.VideoFrame.from_ndarray(picture, format="rgb24") for picture in pixels]
    data, _ = encoded(iter(frames))
    film = read.film(data, 0, 4)
    assert (film.height, film.width, film.luma.shape, film.chroma.shape) == (
        64,
        96,
        (4, 64, 96),
        (4, 2, 32, 48),
    )
    with read.opened(data) as (container, stream):
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert (rgb(film) == decoded).all()


@pytest.mark.parametrize("box", [(0, 0, 46, 34), (4, 6, 20, 30), (3, 5, 20, 31), (45, 33, 46, 34)])
def test_a_cut_shows_the_same_pixels(box: tuple[int, int, int, int]) -> None:
    film = noise(3, 34, 46)
    left, top, right, bottom = box
    expected = rgb(film)[:, top:bottom, left:right]
    for mirrored in (False, True):
        part, (left, top, right, bottom) = film.cut(box, mirrored=mirrored)
        shown = rgb(part)[:, top:bottom, left:right]
        # FFmpeg rounds the last columns of a row, fewer than it takes at a time, by itself.
        assert np.abs((shown[:, :, ::-1] if mirrored else shown) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize("example", range(20))
def test_colours_change_as_those_of_a_picture(example: int) -> None:
    """Brightness, then saturation, then contrast of the floats that the film stands for."""
    film = moderate(3, 40, 60)
    data = Draws.of(0, 0, example)
    brightness, saturation, contrast = (data.uniform(1 - reach, 1 + reach) for reach in (0.4, 0.3, 0.2))
    pixels = brightness * in_floats(film)
    grey = (pixels @ [0.299, 0.587, 0.114])[..., None]
    saturated = grey + saturation * (pixels - grey)
    expected = grey.mean() + contrast * (saturated - grey.mean())
    assert 0 <= expected.min() <= expected.max() <= 255
    colour = Colour(brightness=0.4, saturation=0.3, contrast=0.2)
    luma, chroma = tables(film, colour, Draws.of(0, 0, example))
    recoloured = Film(luma[film.luma], chroma[film.chroma])
    changed = in_floats(recoloured)
    # Half a step of luma and half a step of blue's chroma, in levels of RGB.
    assert np.abs(changed - expected).max() <= 255 * (0.5 / 219 + 1.772 * 0.5 / 224) + 0.01
    assert (rgb(film, (luma, chroma)) == rgb(recoloured)).all()


def test_a_film_and_a_picture_get_the_same_change_from_the_same_draws() -> None:
    film = moderate(1, 40, 60)
    for example in range(10):
        changed = rgb(film, tables(film, Colour(), Draws.of(0, 0, example)))[0]
        of_picture = Colour()(rgb(film)[0], Draws.of(0, 0, example))
        assert np.abs(changed - of_picture.astype(int)).max() <= 4


def test_no_range_leaves_the_film_as_it_is() -> None:
    film = noise(2, 20, 30)
    assert (rgb(film, tables(film, Colour(0, 0, 0), Draws(1))) == rgb(film)).all()


def test_frames_with_an_odd_number_of_columns_are_whole() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 31, 21, "yuv444p"
        grey = np.full((3, 21, 31), 128, np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="yuv444p")))
        container.mux(stream.encode())
    frames = read.frames(file.getvalue(), 0, 2)
    assert frames.shape == (2, 21, 31, 3)
    # (128 - 16) of 219 levels.
    assert np.abs(frames - 130.4).max() < 1

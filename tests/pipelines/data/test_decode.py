"""Images of every kind that data sets hold are decoded as Pillow decodes them."""

import io
import warnings
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image, features

from lab.errors import DataError
from pipelines.data.images.decode import MOST_PIXELS, decode

RNG = np.random.default_rng(0)
WIDTH, HEIGHT = 61, 43
# Smooth, with an edge and some noise; neither side is a multiple of a JPEG block.
RAMPS = np.stack(np.meshgrid(np.linspace(0, 255, WIDTH), np.linspace(255, 0, HEIGHT)), axis=-1)
SCENE = np.concatenate([RAMPS, np.full((HEIGHT, WIDTH, 1), 90.0)], axis=-1) + RNG.normal(
    0, 8, (HEIGHT, WIDTH, 3)
)
SCENE[10:20, 30:50] = (250, 10, 40)
PICTURE = Image.fromarray(np.clip(SCENE, 0, 255).astype(np.uint8))


def encoded(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def by_pillow(data: bytes) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged EXIF data
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees
    return encoded(PICTURE, exif=exif)


def ycck() -> bytes:
    return bytes(simplejpeg.encode_jpeg(np.array(PICTURE.convert("CMYK")), colorspace="CMYK", quality=95))


def flipped_bits() -> bytes:
    data = bytearray(encoded(PICTURE))
    data[len(data) * 2 // 3] ^= 0x55
    return bytes(data)


JPEGS = {
    "rgb": encoded(PICTURE, quality=95),
    "unsubsampled": encoded(PICTURE, subsampling=0),
    "gray": encoded(PICTURE.convert("L")),
    "cmyk": encoded(PICTURE.convert("CMYK")),
    "ycck": ycck(),
    "progressive": encoded(PICTURE, progressive=True),
    "damaged exif": encoded(PICTURE, exif=b"Exif\0\0II*\0\xff\xff\xff\0nothing"),
    "trailing garbage": encoded(PICTURE) + bytes(range(256)) * 4,
    "orientation": turned(),
    "flipped bits": flipped_bits(),
    "one pixel": encoded(PICTURE.resize((1, 1))),
}
OTHERS = {
    "png": encoded(PICTURE, "PNG"),
    "gray png": encoded(PICTURE.convert("L"), "PNG"),
    "black and white png": encoded(PICTURE.convert("1"), "PNG"),
    "palette png": encoded(PICTURE.quantize(32), "PNG"),
    "palette png with transparency": encoded(PICTURE.quantize(32), "PNG", transparency=3),
    "png with alpha": encoded(PICTURE.convert("RGBA").rotate(30), "PNG"),
    "bmp": encoded(PICTURE, "BMP"),
    "gif": encoded(PICTURE, "GIF"),
    "cmyk tiff": encoded(PICTURE.convert("CMYK"), "TIFF"),
}
if features.check("webp"):
    OTHERS["webp"] = encoded(PICTURE, "WEBP")


@pytest.mark.parametrize("data", JPEGS.values(), ids=JPEGS.keys())
def test_a_jpeg_is_what_pillow_reads_to_a_level(data: bytes) -> None:
    pixels = decode(memoryview(data), "it")
    assert pixels.dtype == np.uint8
    assert pixels.shape == by_pillow(data).shape
    assert np.abs(pixels - by_pillow(data).astype(int)).max() <= 1


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS.keys())
def test_any_other_format_is_what_pillow_reads(data: bytes) -> None:
    pixels = decode(memoryview(data), "it")
    assert (pixels == by_pillow(data)).all()
    assert pixels.flags.writeable


def test_a_lossless_picture_comes_back_as_it_was() -> None:
    assert (decode(encoded(PICTURE, "PNG"), "it") == np.asarray(PICTURE)).all()


def test_an_orientation_is_not_applied_whichever_library_reads() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(turned(), "it").shape == (HEIGHT, WIDTH, 3)
    assert decode(encoded(PICTURE, "PNG", exif=exif), "it").shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_keeps_its_upper_half(kind: str) -> None:
    levels = RNG.integers(0, 65536, (9, 7)).astype(np.uint16)
    pixels = decode(encoded(Image.fromarray(levels), kind), "it")
    assert (pixels == (levels // 256)[..., None]).all()
    assert pixels.shape == (9, 7, 3)


@pytest.mark.parametrize(
    ("kind", "share"),
    [("JPEG", 0.1), ("JPEG", 0.5), ("JPEG", 0.999), ("PNG", 0.1), ("PNG", 0.5), ("PNG", 0.9)],
)
def test_a_file_that_ends_too_early_is_refused_by_name(kind: str, share: float) -> None:
    data = encoded(PICTURE, kind)
    cut = data[: int(len(data) * share)]
    with pytest.raises(DataError, match=r"^image n01440764_1 cannot be decoded: .*\.$") as refusal:
        decode(cut, "image n01440764_1")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xe0" + bytes(64), b"<html>"])
def test_what_is_no_image_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(DataError, match=r"^image x cannot be decoded: "):
        decode(data, "image x")


def test_pixels_without_a_range_are_refused() -> None:
    floats = Image.fromarray(RNG.normal(size=(4, 4)).astype(np.float32))
    with pytest.raises(DataError, match="its pixels are floats, of unknown range"):
        decode(encoded(floats, "TIFF"), "it")


def test_an_image_that_claims_too_many_pixels_is_refused_before_they_are_made() -> None:
    """By what its header says: 65,500 x 65,500 pixels would take 13 GB."""
    data = bytearray(encoded(PICTURE))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = (65500).to_bytes(2) * 2
    with pytest.raises(DataError, match=f"it has 65,500 x 65,500 pixels, more than {MOST_PIXELS:,}"):
        decode(bytes(data), "it")
    large = encoded(Image.new("1", (16384, 16384)), "PNG")
    with pytest.raises(DataError, match=r"^it .*pixels"):
        decode(large, "it")

"""Encoded images to 8-bit RGB: JPEG by libjpeg-turbo, everything else by Pillow."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from lab.errors import DataError

MOST_PIXELS = 178_956_970
"""More are refused before memory is taken for them; Pillow's limit."""


def decode(data: bytes | memoryview, image: str) -> NDArray[np.uint8]:
    """(height, width, 3) 8-bit RGB of an encoded image. Raises DataError, which begins with the name `image`.

    The pixels are as stored: an orientation in the EXIF data is not applied, an alpha channel is dropped,
    16-bit grey keeps its upper 8 bits. A file that ends too early is refused, not filled up. What
    libjpeg-turbo only warns of, Pillow decides on: it reads a scan with flipped bits as well as it can.
    """
    pixels = sound_jpeg(data, image)
    return _other(data, image) if pixels is None else pixels


def sound_jpeg(data: bytes | memoryview, image: str) -> NDArray[np.uint8] | None:
    """The pixels of a JPEG; None for what is no JPEG or has any defect. Raises DataError for too large a
    one.
    """
    if bytes(data[:2]) != b"\xff\xd8":
        return None
    import simplejpeg

    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        _require_size(width, height, image)
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data)
    except ValueError:
        return None
    return pixels


def _other(data: bytes | memoryview, image: str) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as stored:
            _require_size(*stored.size, image)
            if stored.mode == "F":
                raise ValueError("its pixels are floats, of unknown range")
            if stored.mode.startswith("I"):
                # Pillow's own conversion would clip at 255.
                grey = np.clip(np.asarray(stored) >> 8, 0, 255).astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=2)
            return np.array(stored.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as fault:
        raise DataError(f"{image} cannot be decoded: {_first_line(fault)}.") from None


def _require_size(width: int, height: int, image: str) -> None:
    if width * height > MOST_PIXELS:
        raise DataError(
            f"{image} has {width:,} x {height:,} pixels, more than {MOST_PIXELS:,}: scale it down."
        )


def _first_line(fault: BaseException) -> str:
    return (str(fault).splitlines() or [type(fault).__name__])[0].rstrip(".")

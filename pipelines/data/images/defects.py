"""What is unusual about an encoded image, in words that are worth counting, and which images cannot be read.

Every image is decoded once while it is prepared, as training will decode it (about 20 CPU minutes for
ImageNet): one that cannot be is found there, and not in the middle of a run.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lab.errors import DataError
from pipelines.data.images.decode import decode, sound_jpeg
from pipelines.data.unreadable import Unreadable

END = b"\xff\xd9"
"""The marker that ends a JPEG; inside its entropy-coded data it cannot occur."""


def remark(data: bytes | memoryview, image: str) -> str | None:
    """`PNG RGB`, `JPEG CMYK, damaged EXIF`, or None for a plain colour JPEG.

    Raises Unreadable, which begins with the name `image`, when it cannot be decoded.
    """
    from PIL import Image

    data = bytes(data)
    try:
        sound = sound_jpeg(data, image) is not None
        if not sound:
            decode(data, image)
        with Image.open(io.BytesIO(data)) as opened:
            kind, exif = f"{opened.format} {opened.mode}", opened.info.get("exif", b"")
    except (DataError, OSError, SyntaxError, ValueError) as fault:
        raise Unreadable(_reason(data, image, fault)) from None
    found = [] if kind == "JPEG RGB" else [kind]
    if kind.startswith("JPEG"):
        found += [] if sound else ["damaged scan"]
        found += [] if data.endswith(END) else ["bytes behind its end"]
    if exif and not readable_exif(exif):
        found.append("damaged EXIF")
    return ", ".join(found) or None


@contextmanager
def quiet() -> Iterator[None]:
    """Without Pillow's warnings of damaged EXIF data, which are counted instead. To be entered before threads
    are started: warnings are filtered for all of them.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\..*")
        yield


def readable_exif(exif: bytes) -> bool:
    """Whether the first directory of EXIF data, and every value it points to, lies inside of it."""
    sizes = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8)
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    try:
        if order is None or struct.unpack_from(f"{order}H", tiff, 2) != (42,):
            return False
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for place in range(start + 2, start + 2 + 12 * count, 12):
            _, kind, number, offset = struct.unpack_from(f"{order}HHII", tiff, place)
            size = number * sizes[kind]
            if size > 4 and offset + size > len(tiff):
                return False
    except (struct.error, IndexError):
        return False
    return True


def _scan(data: bytes) -> int:
    """Where the first scan of a JPEG begins: behind its headers, which may hold thumbnails with ends of their
    own.
    """
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        place += 1 if data[place + 1] == 0xFF else 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return place


def _reason(data: bytes, image: str, fault: Exception) -> str:
    if not data:
        return f"{image} is empty"
    if data.startswith(b"\xff\xd8") and END not in data[_scan(data) :]:
        return f"{image} is cut short"
    text = str(fault).rstrip(".")
    return text if text.startswith(image) and "cannot identify" not in text else f"{image} is no image"

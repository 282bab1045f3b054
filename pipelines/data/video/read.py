"""Video in its own encoding as frames, at the times of a regular grid, without decoding the rest.

Frame k is what is shown at k/25 s after the first frame: of a video of another or a varying rate the last
one that begins less than half a grid step later. A clip is found by going to the key frame before it and
decoding on, so that its price is set by how far apart key frames are (see `transcode`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.errors import DataError
from pipelines.data import media
from pipelines.data.media import Encoded
from pipelines.data.video.film import Film

RATE = 25
"""Frames per second (docs/paper.md section 1.7)."""

_SMPTE170M = 6
"""What H.264 calls the colours of standard definition in America: those of ITU-R BT.601."""


def frames(data: Encoded, start: int, count: int) -> NDArray[np.uint8]:
    """(count, height, width, 3) RGB from frame `start` on, as `film`."""
    return np.stack(list(film(data, start, count).pictures()))


def film(data: Encoded, start: int, count: int) -> Film:
    """`count` frames from frame `start` on; the last one is repeated past the end.

    Raises DataError when it cannot be decoded or has no frames.
    """
    from av.video.reformatter import VideoReformatter

    converter = VideoReformatter()
    with opened(data) as (container, stream):
        shown = islice(grid(container, stream, start), count)
        # Nothing is done to video that is stored (see `transcode`).
        stored = (converter.reformat(frame, **stored_colours(frame), threads=1) for frame in shown)
        return Film.of(stored, count)


def stored_colours(frame: Any) -> dict[str, Any]:
    """What brings a frame to the colours of `Film`, as arguments of FFmpeg's scaler. Frames that do not say
    which they have are of high definition, with its colours, from 720 rows on.
    """
    return _stored_colours(frame.colorspace, frame.color_range, frame.height >= 720)


@cache
def _stored_colours(space: int, scale: int, high_definition: bool) -> dict[str, Any]:
    from av.video.reformatter import ColorRange, Colorspace

    unsaid = Colorspace.ITU709 if high_definition else Colorspace.ITU601
    said = {space.value: space for space in Colorspace} | {_SMPTE170M: Colorspace.ITU601}
    return {
        "format": "yuv420p",
        "src_colorspace": said.get(space, unsaid),
        "dst_colorspace": Colorspace.ITU601,
        "src_color_range": scale or ColorRange.MPEG,
        "dst_color_range": ColorRange.MPEG,
    }


@contextmanager
def opened(data: Encoded) -> Iterator[tuple[Any, Any]]:
    """(container, its first video stream), to be decoded by the calling thread. Raises DataError, also
    for what fails to decode inside the block.
    """
    with media.opened(data) as container:
        if not container.streams.video:
            raise DataError("it has no video track.")
        stream = container.streams.video[0]
        # Frame threads dead-lock when a decoder is left before its end, and gain nothing on short clips.
        stream.thread_type = "SLICE"
        stream.codec_context.thread_count = 1
        yield container, stream


def grid(container: Any, stream: Any, start: int) -> Iterator[Any]:
    """The decoded frames at the places `start`, `start` + 1, ... of the grid until the video ends, and its
    last frame where it ends before `start`. Raises DataError when it has none."""
    first, time_base = stream.start_time or 0, stream.time_base
    # Whole numbers: exact where a frame begins half a step off the grid, at a tenth of the cost of fractions.
    steps, units = (RATE * time_base).as_integer_ratio()
    place, shown = start, None
    for frame in _from(container, stream, first * time_base + Fraction(start, RATE)):
        begins = (frame.pts - first) * steps / units
        while begins >= place + 0.5:
            yield shown or frame
            place += 1
        shown = frame
    if shown is None:
        raise DataError("its video track holds no frames.")
    ends = (shown.pts + (shown.duration or 0) - first) * steps / units
    for _ in range(max(round(ends) - place, 1)):
        yield shown


def _from(container: Any, stream: Any, seconds: Fraction) -> Iterator[Any]:
    """Decoded frames from the last key frame at or before a time, in the order they are shown."""
    target = int(seconds / stream.time_base)
    if seconds > (stream.start_time or 0) * stream.time_base:
        container.seek(target, stream=stream)
        decoded = (frame for frame in container.decode(stream) if frame.pts is not None)
        first = next(decoded, None)
        if first is not None and first.pts <= target:
            yield first
            yield from decoded
            return
    # Where frames are reordered a seek may land behind the target: then everything from the beginning.
    container.seek(stream.start_time or 0, stream=stream)
    yield from (frame for frame in container.decode(stream) if frame.pts is not None)

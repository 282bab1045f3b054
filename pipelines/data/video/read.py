"""Video in its own encoding as frames, at the times of a regular grid, without decoding the rest.

Frame k is what is shown at k/25 s after the first frame: of a video of another or a varying rate the last
one that begins less than half a grid step later. A clip is found by going to the key frame before it and
decoding on, so that its price is set by how far apart key frames are (see `transcode`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.errors import DataError
from pipelines.data import media
from pipelines.data.media import Encoded

RATE = 25
"""Frames per second (docs/paper.md section 1.7)."""


def frames(data: Encoded, start: int, count: int) -> NDArray[np.uint8]:
    """(count, height, width, 3) RGB from frame `start` on; the last frame is repeated past the end.

    Raises DataError when it cannot be decoded or has no frames.
    """
    from av.video.reformatter import VideoReformatter

    # One for all frames: making one costs as much as decoding a frame.
    converter = VideoReformatter()
    with opened(data) as (container, stream):
        shown = list(islice(grid(container, stream, start), count))
        pixels = np.empty((count, shown[0].height, shown[0].width, 3), np.uint8)
        for place, frame in enumerate(shown):
            again = place and frame is shown[place - 1]
            rgb = None if again else converter.reformat(frame, format="rgb24", threads=1)
            pixels[place] = pixels[place - 1] if rgb is None else rgb.to_ndarray()
        pixels[len(shown) :] = pixels[len(shown) - 1]
        return pixels


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
    origin = (stream.start_time or 0) * stream.time_base
    place, shown = start, None
    for frame in _from(container, stream, origin + Fraction(start, RATE)):
        begins = float((frame.pts * stream.time_base - origin) * RATE)
        while begins >= place + 0.5:
            yield shown or frame
            place += 1
        shown = frame
    if shown is None:
        raise DataError("its video track holds no frames.")
    ends = float(((shown.pts + (shown.duration or 0)) * stream.time_base - origin) * RATE)
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

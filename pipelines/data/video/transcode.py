"""Video as it is stored: what makes 32 frames from anywhere cheap enough to feed a GPU.

H.264 at 25 frames a second (docs/paper.md section 1.7), the shorter side 256 pixels at most, a key frame
every 16 frames, no frames that wait for later ones, no arithmetic coding and no deblocking. A random clip
then decodes 7.5 frames on average that nobody looks at, where the 250 between the key frames of usual files
cost over 100. All but the rate is assumed; evaluation crops 224 of the 256 pixels.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice
from typing import Any

from pipelines.data.media import Encoded
from pipelines.data.video.read import RATE, grid, opened, stored_colours

SIDE = 256
KEY_FRAMES = 16

# One thread: with more the bytes depend on how many.
ENCODER = {
    "preset": "veryfast",
    "tune": "fastdecode",
    "crf": "23",
    "g": str(KEY_FRAMES),
    "keyint_min": str(KEY_FRAMES),
    "sc_threshold": "0",
    "bf": "0",
    # On small frames its choices were seen to differ between calls, and shards must have the same bytes.
    "mbtree": "0",
    "threads": "1",
    "flags": "+bitexact",
}


def transcoded(data: Encoded, begin: float, seconds: float) -> tuple[bytes, int]:
    """(mp4 without sound, its frames) of a stretch of any file FFmpeg reads; the same bytes every time.

    Raises DataError when it cannot be decoded or has no frames.
    """
    with opened(data) as (container, stream):
        shown = grid(container, stream, round(begin * RATE))
        return encoded(islice(shown, max(1, round(seconds * RATE))))


def encoded(shown: Iterator[Any]) -> tuple[bytes, int]:
    """(mp4, its frames) of decoded frames at 25 a second."""
    import av
    from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

    scaler = VideoReformatter()
    first = next(shown)
    size = _size(first)
    file = io.BytesIO()
    count = 0
    with av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=RATE, options=ENCODER)
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = Colorspace.ITU601, ColorRange.MPEG
        for frame in chain([first], shown):
            scaled = scaler.reformat(frame, *size, **stored_colours(frame), interpolation="AREA", threads=1)
            scaled.pts, scaled.time_base, scaled.pict_type = count, Fraction(1, RATE), 0
            container.mux(stream.encode(scaled))
            count += 1
        container.mux(stream.encode(None))
    return file.getvalue(), count


def _size(frame: Any) -> tuple[int, int]:
    """(width, height) with square pixels, the shorter side SIDE at most, both even."""
    width, height = frame.width, frame.height
    scale = min(1, SIDE / min(width, height))
    return 2 * round(width * scale / 2), 2 * round(height * scale / 2)

"""A clip as it is stored: its sound and its video, both of the segment alone, beginning together."""

from __future__ import annotations

import numpy as np

from lab.errors import DataError
from pipelines.data.audio import read
from pipelines.data.audio import transcode as audio
from pipelines.data.audioset.source import Clip, Media
from pipelines.data.media import Encoded
from pipelines.data.plan import LeftOut
from pipelines.data.shards import Row
from pipelines.data.video import transcode as video
from pipelines.data.video.read import RATE

SECONDS = 10.0
"""What AudioSet's segments last, but for a few at the end of a video."""

BYTES = 600_000, 1_000_000
"""Sound and video of 10 s as they are stored, at most, roughly."""

EMPTY, UNREADABLE = "left out, the file is empty", "left out, the file cannot be decoded"


def size(clip: Clip) -> int:
    """Bytes of a stored clip, roughly."""
    sound, seen = (
        min(each.at.size, most) if each else 0 for each, most in zip(_files(clip), BYTES, strict=True)
    )
    return sound + seen


def row(key: str, clip: Clip) -> Row:
    """What is stored of a clip. What cannot be decoded is as if it were not there.

    Raises LeftOut when nothing is left, OSError when a file cannot be read.
    """
    sound, seen = _files(clip)
    sound_bytes = sound.at.read() if sound else b""
    video_bytes = sound_bytes if seen is sound else seen.at.read() if seen else b""
    heard, samples = _heard(clip, sound, sound_bytes)
    shown, frames = _seen(clip, seen, video_bytes)
    if heard is None and seen is not None and sound is not seen:
        # The file of sound is damaged or empty, the video beside it may have some.
        heard, samples = _heard(clip, seen, video_bytes)
    if heard is None and shown is None:
        raise LeftOut(UNREADABLE if sound_bytes or video_bytes else EMPTY)
    return {
        "key": key,
        "labels": list(clip.segment.labels),
        "audio": heard,
        "video": shown,
        # As it will be read again, so that what is remarked about it stays the same.
        "duration": float(np.float32(max(samples / audio.RATE, frames / RATE))),
        "frames": frames,
    }


def remark(row: Row) -> str | None:
    """What a stored clip lacks."""
    lacks = [f"without {column}" for column in ("audio", "video") if row[column] is None]
    if row["duration"] < SECONDS - 0.1:
        lacks.append(f"shorter than {SECONDS:g} s")
    return f"clips {', '.join(lacks)}" if lacks else None


def _files(clip: Clip) -> tuple[Media | None, Media | None]:
    """(where the sound is, where the video is)"""
    return clip.sound or clip.video, clip.video


def _heard(clip: Clip, file: Media | None, data: Encoded) -> tuple[bytes | None, int]:
    try:
        return audio.transcoded(data, *_stretch(clip, file, data)) if file and data else (None, 0)
    except DataError:
        return None, 0


def _seen(clip: Clip, file: Media | None, data: Encoded) -> tuple[bytes | None, int]:
    try:
        return video.transcoded(data, *_stretch(clip, file, data)) if file and data else (None, 0)
    except DataError:
        return None, 0


def _stretch(clip: Clip, file: Media, data: Encoded) -> tuple[float, float]:
    """(begin, seconds) of the segment in a file: on the grid of frames, so that sound and video agree."""
    segment = clip.segment
    if segment.begin is None or segment.end is None:
        return 0.0, SECONDS
    seconds = (segment.end - segment.begin) / 1000
    whole = not file.cut and read.length(data) > max(seconds + 1, segment.end / 1000 - 1)
    return (round(segment.begin / 1000 * RATE) / RATE if whole else 0.0), seconds

"""Files of sound and video that FFmpeg reads, opened in one way."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lab.errors import DataError

Encoded = bytes | bytearray | memoryview
"""The bytes of a file."""

# Not playlists and the like: a file that is opened must not open others.
_FORMATS = "mov,matroska,avi,flv,mpegts,mpeg,asf,ogg,mp3,aac,wav,flac"


@contextmanager
def opened(data: Encoded) -> Iterator[Any]:
    """The container. Raises DataError, also for what fails to decode inside the block."""
    import av

    try:
        with av.open(io.BytesIO(data), options={"format_whitelist": _FORMATS}) as container:
            yield container
    except (av.FFmpegError, ValueError) as fault:
        raise DataError(f"it cannot be decoded: {fault}.") from None

"""Sound in its own encoding as samples: all of it, or any stretch without decoding the rest.

wav, flac, mp3, ogg and opus are read by libsndfile, everything else (the sound of an mp4) by FFmpeg.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lab.errors import DataError

Encoded = bytes | bytearray | memoryview | Path
"""The bytes of a file, or where it is."""

Samples = NDArray[np.float32]
"""(samples,), one channel, full scale from -1 to 1."""


def segment(data: Encoded, start: int, samples: int) -> Samples:
    """(samples,) from sample `start` on, at the stored rate; channels are averaged, zeros follow the end.

    Only for what libsndfile reads. Raises DataError when it cannot be decoded or breaks off.
    """
    import soundfile

    mono = np.zeros(samples, np.float32)
    try:
        with soundfile.SoundFile(_file(data)) as sound:
            wanted = max(0, min(samples, sound.frames - start))
            if wanted:
                sound.seek(start)
                read = sound.read(wanted, dtype="float32", always_2d=True)
                if len(read) < wanted:
                    raise DataError(f"sound breaks off at sample {start + len(read)} of {sound.frames}.")
                mono[:wanted] = downmixed(read)
    except (soundfile.SoundFileError, RuntimeError) as fault:
        raise DataError(f"sound cannot be decoded: {fault}") from None
    return mono


def rate(data: Encoded) -> int:
    """Samples per second. Raises DataError."""
    import soundfile

    try:
        return int(soundfile.info(_file(data)).samplerate)
    except (soundfile.SoundFileError, RuntimeError) as fault:
        raise DataError(f"sound cannot be decoded: {fault}") from None


def downmixed(channels: NDArray[np.float32]) -> Samples:
    """(samples, channels) -> (samples,), the mean."""
    return channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1, dtype=np.float32)


def _file(data: Encoded) -> io.BytesIO | str:
    return str(data) if isinstance(data, Path) else io.BytesIO(data)

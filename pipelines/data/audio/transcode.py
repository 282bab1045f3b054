"""Sound as it is stored: FLAC of one channel, 16 bits at 48 kHz.

The rate is the paper's (docs/paper.md section 1.7). FLAC decodes from any sample on, keeps 16-bit sources at
48 kHz exactly, and has half the bytes of wav (assumed, like the 16 bits).
"""

from __future__ import annotations

import io

import numpy as np

from lab.errors import DataError
from pipelines.data.audio.read import Samples, stretch
from pipelines.data.media import Encoded

RATE = 48_000
"""Samples per second."""


def transcoded(data: Encoded, begin: float, seconds: float) -> tuple[bytes, int]:
    """(FLAC, its samples) of a stretch of any file that `read.stretch` reads; the same bytes every time.

    Raises DataError when it cannot be decoded or holds not a single sample.
    """
    samples = resampled(*stretch(data, begin, seconds))
    if not len(samples):
        raise DataError("it holds no sound.")
    return flac(samples), len(samples)


def resampled(samples: Samples, rate: int) -> Samples:
    """(samples,) at `rate` -> at 48 kHz, the frequencies that both can hold and no others."""
    import soxr

    return samples if rate == RATE else np.asarray(soxr.resample(samples, rate, RATE, quality="HQ"))


def flac(samples: Samples) -> bytes:
    """FLAC of (samples,) at 48 kHz, in 16 bits; louder than full scale is clipped."""
    import soundfile

    levels = np.clip(np.rint(np.nan_to_num(samples) * np.float32(32768)), -32768, 32767).astype(np.int16)
    stream = io.BytesIO()
    soundfile.write(stream, levels, RATE, format="FLAC", subtype="PCM_16")
    return stream.getvalue()

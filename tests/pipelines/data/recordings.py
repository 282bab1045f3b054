"""Sounds and films that tell the time, in the encodings people hold them in."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

TONE = 1000.0
BITS = 10
"""Frames carry their number in so many stripes, black or white, from left to right."""


def beep(rate: int, seconds: float, at: Sequence[float], channels: int = 1) -> NDArray[np.float32]:
    """(samples, channels): silence with tones of 100 ms that begin at these seconds."""
    time = np.arange(round(rate * seconds)) / rate
    heard = sum(((begin <= time) & (time < begin + 0.1)).astype(float) for begin in at)
    return np.repeat((0.5 * heard * np.sin(2 * np.pi * TONE * time))[:, None], channels, axis=1).astype(
        np.float32
    )


def chirp(rate: int, seconds: float) -> NDArray[np.float32]:
    """(samples,): a tone that rises from 100 Hz to 8 kHz, so that every stretch of it is different."""
    time = np.arange(round(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * (100 * time + 7900 / (2 * seconds) * time**2))).astype(np.float32)


def encoded(
    samples: NDArray[np.float32], rate: int, kind: str = "WAV", subtype: str | None = "PCM_16"
) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def stripes(number: int, width: int = 160, height: int = 90) -> NDArray[np.uint8]:
    """(height, width, 3): a number in black and white, over a square that moves."""
    bits = [number >> bit & 1 for bit in range(BITS)]
    image = (
        np.repeat(np.array(bits, np.uint8) * 255, width // BITS)[None, :, None].repeat(height, 0).repeat(3, 2)
    )
    left = number * 3 % (width - 20)
    image[-height // 3 :] = 90
    image[-height // 4 : -5, left : left + 20] = (200, 60, 40)
    return image


def number(image: NDArray[np.uint8]) -> int:
    """What `stripes` were made of, after scaling and lossy coding."""
    top = image[: image.shape[0] // 2, :, 0].astype(float).mean(0)
    step = len(top) / BITS
    return sum((top[int((bit + 0.5) * step)] > 127) << bit for bit in range(BITS))


def mp4(
    pictures: Sequence[NDArray[np.uint8]] = (),
    fps: int = 25,
    *,
    times: Sequence[Fraction] | None = None,
    sound: NDArray[np.float32] | None = None,
    rate: int = 44_100,
    sound_from: float = 0.0,
    kind: str = "mp4",
    codec: str = "aac",
    **options: str,
) -> bytes:
    """A film with or without sound: pictures at `fps`, or at these `times`; `options` are x264's."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        seen = (
            container.add_stream("libx264", rate=fps, options={"crf": "18", **options}) if pictures else None
        )
        heard = container.add_stream(codec, rate=rate, layout="stereo") if sound is not None else None
        if seen:
            seen.height, seen.width = pictures[0].shape[:2]
            seen.pix_fmt = "yuv420p"
            seen.codec_context.time_base = Fraction(1, 600)
            for place, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.time_base = Fraction(1, 600)
                frame.pts = int((times[place] if times else Fraction(place, fps)) * 600)
                container.mux(seen.encode(frame))
            container.mux(seen.encode(None))
        if heard:
            _mux_sound(container, heard, sound, rate, sound_from)
    return file.getvalue()


def _mux_sound(container: Any, stream: Any, sound: Any, rate: int, begin: float) -> None:
    for start in range(0, len(sound), 1024):
        piece = np.ascontiguousarray(sound[start : start + 1024].T)
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = start + round(begin * rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))

"""Clips as the files people have of AudioSet: wav, mp4, and which classes are heard or seen in them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pipelines.data.counter import Draws
from pipelines.data.eventclips.events import EVENTS, Event
from pipelines.data.eventclips.sounds import Sound, soundtrack
from pipelines.data.eventclips.sprites import film
from pipelines.data.video.read import RATE

SECONDS = 0.4


@dataclass(frozen=True)
class Recording:
    """labels: the classes in a clip · heard, seen: the events of which there is the sound, the sprite"""

    labels: list[int]
    heard: list[Event]
    seen: list[Event]


def recording(draws: Draws) -> Recording:
    """What happens in a clip: one event or more."""
    while True:
        parts = [(event, *event.drawn(draws)) for event in EVENTS]
        labels = [label for label, (event, *found) in enumerate(parts) if event.happens(*found)]
        if labels:
            heard = [event for event, sound, _ in parts if sound]
            return Recording(labels, heard, [event for event, _, sprite in parts if sprite])


def wav(made: Recording, draws: Draws) -> bytes:
    """Its sound: at 48 kHz, or in one of ten clips at 44.1 kHz with two channels, as in AudioSet."""
    import soundfile

    odd = draws.integer(0, 9) == 0
    rate = 44_100 if odd else 48_000
    track: Sound = soundtrack(made.heard, SECONDS, rate, draws)
    stream = io.BytesIO()
    soundfile.write(stream, np.stack([track, track], axis=1) if odd else track, rate, "PCM_16", format="WAV")
    return stream.getvalue()


def mp4(made: Recording, draws: Draws) -> bytes:
    """Its frames, 25 a second, every pixel as 2 x 2."""
    return _encoded(film(made.seen, round(SECONDS * RATE), draws).repeat(2, axis=1).repeat(2, axis=2))


def _encoded(frames: NDArray[np.uint8]) -> bytes:
    """H.264 in mp4; the same bytes every time."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        # With a macroblock tree x264 reads memory it has not written: equal small frames gave other bytes.
        options = {"preset": "veryfast", "crf": "18", "mbtree": "0", "threads": "1", "flags": "+bitexact"}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()

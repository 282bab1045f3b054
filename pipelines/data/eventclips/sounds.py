"""The sounds of EventClips, (samples,) at most 1, each of which has a direction in time.

Backwards a sound is that of another class: which of the two is heard no average over time can tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.data import counter
from pipelines.data.counter import Draws
from pipelines.data.eventclips.events import Event

Sound = NDArray[np.float64]

HELD = 6
"""Noise up to a sixth of what the rate allows: white noise would be most of the bytes of a clip."""


def soundtrack(events: Sequence[Event], seconds: float, rate: int, draws: Draws) -> Sound:
    """What is heard of these events over each other, each as loud as it happens to be, in noise."""
    samples = round(seconds * rate)
    track = draws.uniform(0.05, 0.15) * noise(samples, draws)
    for event in events:
        if event.sound:
            loudness = 10 ** draws.uniform(-1.2, -0.5)
            track += loudness * sound(event, samples, rate, draws)
    return np.clip(track, -1, 1)


def sound(event: Event, samples: int, rate: int, draws: Draws) -> Sound:
    """The sound of an event that has one."""
    made = SOUNDS[str(event.sound)](np.arange(samples) / rate, draws)
    return made[::-1] if event.backwards else made


def siren(time: Sound, draws: Draws) -> Sound:
    """A tone that rises from about 400 to about 2,400 Hz."""
    rise = time[-1] * draws.uniform(0.75, 1)
    risen = np.clip((time - time[-1] / 2) / rise + 0.5 + draws.uniform(-0.1, 0.1), 0, 1)
    return _tone(time, draws.uniform(0.9, 1.1) * 400 * 6**risen)


def bell(time: Sound, draws: Draws) -> Sound:
    """A low tone, then a high one."""
    low = time < time[-1] * draws.uniform(0.35, 0.65)
    return _tone(time, np.where(low, 900.0, 1400.0) * draws.uniform(0.95, 1.05))


def jet(time: Sound, draws: Draws) -> Sound:
    """Noise that fades."""
    fade = np.exp(-time / (time[-1] * draws.uniform(0.2, 0.3)))
    return np.asarray(1.5 * noise(len(time), draws) * fade)


def noise(samples: int, draws: Draws) -> Sound:
    """(samples,) from -1 to 1: independent values `HELD` samples apart, straight lines between them."""
    knots = np.arange(samples // HELD + 2)
    words = counter.hashes(draws.integer(0, 2**62), knots) >> np.uint64(11)
    return np.asarray(np.interp(np.arange(samples), HELD * knots, words * 2.0**-52 - 1))


def _tone(time: Sound, frequency: Sound) -> Sound:
    """A sine whose frequency in Hz changes with time."""
    return np.asarray(np.sin(2 * math.pi * np.cumsum(frequency) * time[1]))


SOUNDS: dict[str, Callable[[Sound, Draws], Sound]] = {"siren": siren, "bell": bell, "jet": jet}
"""Forwards, from a time axis in seconds."""

"""The sounds of EventClips, one per class: (samples,) at most 1, from a time axis in seconds and draws."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipelines.data import counter
from pipelines.data.counter import Draws

Sound = NDArray[np.float64]

HELD = 6
"""Noise up to a sixth of what the rate allows: white noise would be most of the bytes of a clip."""
SWEEP = 0.32
"""seconds a siren takes from one end of its range to the other, before it starts over"""


def soundtrack(labels: list[int], seconds: float, rate: int, draws: Draws) -> Sound:
    """The sounds of these classes over each other, each as loud as it happens to be, in noise."""
    time = np.arange(round(seconds * rate)) / rate
    track = draws.uniform(0.05, 0.15) * noise(len(time), draws)
    for label in labels:
        track += 10 ** draws.uniform(-1.2, -0.5) * tuple(SOUNDS.values())[label](time, draws)
    return np.clip(track, -1, 1)


def rising(time: Sound, draws: Draws) -> Sound:
    """A siren from 400 to 2,400 Hz, again and again."""
    return _siren(time, draws, 400, 2400)


def falling(time: Sound, draws: Draws) -> Sound:
    """The same, backwards: no frequency is heard more or less often."""
    return _siren(time, draws, 2400, 400)


def _siren(time: Sound, draws: Draws, first: float, last: float) -> Sound:
    pitch = draws.uniform(0.9, 1.1)
    passed = np.modf(time / SWEEP + draws.uniform())[0]
    return _tone(time, pitch * first * (last / first) ** passed)


def hum(time: Sound, draws: Draws) -> Sound:
    """A low tone with harmonics."""
    low = draws.uniform(150, 220)
    partials = [_tone(time, np.full_like(time, low * k)) / k for k in range(1, 4)]
    return np.asarray(np.sum(partials, axis=0) / 2)


def whistle(time: Sound, draws: Draws) -> Sound:
    """A high tone that trembles."""
    tremble = np.sin(2 * math.pi * draws.uniform(5, 7) * time)
    return _tone(time, draws.uniform(2600, 3400) * (1 + 0.03 * tremble))


def clicks(time: Sound, draws: Draws) -> Sound:
    """Twelve or so a second, each over within milliseconds."""
    since = np.modf(time * draws.uniform(10, 14) + draws.uniform())[0] / 12
    return np.exp(-since / 0.004) * np.sin(2 * math.pi * 5000 * since) * 2


def hiss(time: Sound, draws: Draws) -> Sound:
    """Noise that comes and goes."""
    gate = np.modf(time * draws.uniform(3, 5) + draws.uniform())[0] < 0.5
    return noise(len(time), draws) * gate


def bell(time: Sound, draws: Draws) -> Sound:
    """Two tones in turn."""
    low = np.modf(time * draws.uniform(3, 4) + draws.uniform())[0] < 0.5
    return _tone(time, np.where(low, 900.0, 1200.0) * draws.uniform(0.95, 1.05))


def cricket(time: Sound, draws: Draws) -> Sound:
    """A very high tone in fast pulses."""
    pulses = np.sin(2 * math.pi * draws.uniform(20, 30) * time) > 0
    return _tone(time, np.full_like(time, draws.uniform(5500, 7000))) * pulses


def noise(samples: int, draws: Draws) -> Sound:
    """(samples,) from -1 to 1: independent values `HELD` samples apart, straight lines between them."""
    knots = np.arange(samples // HELD + 2)
    words = counter.hashes(draws.integer(0, 2**62), knots) >> np.uint64(11)
    return np.asarray(np.interp(np.arange(samples), HELD * knots, words * 2.0**-52 - 1))


def _tone(time: Sound, frequency: Sound) -> Sound:
    """A sine whose frequency in Hz changes with time."""
    return np.asarray(np.sin(2 * math.pi * np.cumsum(frequency) * time[1]))


SOUNDS: dict[str, Callable[[Sound, Draws], Sound]] = {
    "rising siren": rising,
    "falling siren": falling,
    "hum": hum,
    "whistle": whistle,
    "clicks": clicks,
    "hiss": hiss,
    "bell": bell,
    "cricket": cricket,
}
"""By the names of the classes, in the order of their labels."""

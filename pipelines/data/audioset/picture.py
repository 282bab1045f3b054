"""A span as a picture: frames in a row, the sound below them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.data.video.frames import Values, shown

WIDTH, SIDE, HEIGHT, SHOWN = 288, 96, 80, 3


def picture(parts: Mapping[str, Values]) -> NDArray[np.uint8]:
    """(height, 288, 3) of `video` (frames, h, w, 3), `audio` (samples,) or (frames, bins), or both."""
    rows = []
    if "video" in parts:
        rows.append(filmstrip(parts["video"]))
    if "audio" in parts:
        sound = parts["audio"]
        rows.append(curve(sound) if sound.ndim == 1 else heat(sound))
    return np.concatenate(rows)


def filmstrip(frames: Values) -> NDArray[np.uint8]:
    """(96, 288, 3): three frames, the first, the middle and the last."""
    places = np.linspace(0, len(frames) - 1, SHOWN).astype(int)
    stills = [
        Image.fromarray(still).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        for still in shown(frames[places])
    ]
    return np.concatenate([np.asarray(still) for still in stills], axis=1)


def heat(levels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(80, 288, 3): a spectrogram, time to the right and high frequencies above, the louder the brighter."""
    grey = np.clip(np.rint((levels.T[::-1] + 1) * 127.5), 0, 255).astype(np.uint8)
    image = Image.fromarray(grey).resize((WIDTH, HEIGHT), Image.Resampling.NEAREST)
    return np.asarray(image.convert("RGB"))


def curve(samples: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(80, 288, 3): the range of the samples in every column, full scale from top to bottom."""
    columns = np.array_split(samples, WIDTH)
    low, high = (np.array([f(column, initial=0) for column in columns]) for f in (np.min, np.max))
    level = np.linspace(1, -1, HEIGHT)[:, None]
    half = 1 / (HEIGHT - 1)
    inked = (level >= low - half) & (level <= high + half)
    return np.repeat(np.where(inked, 255, 0).astype(np.uint8)[:, :, None], 3, axis=2)

"""Which part of a clip is used: a span of video frames, whose sound begins on a whole sample.

A frame at 25 per second lasts 1,920 samples at 48,000 per second (paper section 4.2), so spans begin on the
grid of frames and sound and video stay together.
"""

from __future__ import annotations

import numpy as np

from pipelines.data.counter import Draws
from pipelines.data.video.read import RATE

SAMPLE_RATE = 48_000
SAMPLES_PER_FRAME = SAMPLE_RATE // RATE


def random_start(total: int, frames: int, draws: Draws) -> int:
    """Where a span of `frames` begins in a clip of `total`, any frame as likely; 0 in a shorter clip."""
    return draws.integer(0, max(total - frames, 0))


def even_starts(total: int, frames: int, spans: int) -> list[int]:
    """Where `spans` spans of `frames` begin, evenly from the start of a clip of `total` to its end.

    In a 10 s clip 16 spans of 32 frames overlap by about half (paper section 4.2). A single span is in the
    middle; in a clip shorter than a span all begin at 0.
    """
    last = max(total - frames, 0)
    if spans == 1:
        return [last // 2]
    return [int(start) for start in np.rint(np.linspace(0, last, spans))]

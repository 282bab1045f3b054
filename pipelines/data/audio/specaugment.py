"""Stripes of a spectrogram blotted out in training (SpecAugment, Park et al. 2019; paper section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.errors import SpecError
from pipelines.data.counter import Draws


@dataclass(frozen=True)
class SpecAugment:
    """Masks over time and over frequency, each from 0 to `..._width` wide, anywhere, on top of each other.

    There is no time warp. The paper says that it was used, not how: numbers and widths are assumed (about
    those of PANNs, two masks of at most an eighth each way), and that masked values become 0.
    """

    time_masks: int = 2
    time_width: int = 8
    frequency_masks: int = 2
    frequency_width: int = 10

    def __post_init__(self) -> None:
        for name in ("time_masks", "time_width", "frequency_masks", "frequency_width"):
            if getattr(self, name) < 0:
                raise SpecError(f"SpecAugment.{name} must be 0 or more, got {getattr(self, name)}.")

    def __call__(self, spectrogram: NDArray[np.float32], draws: Draws) -> NDArray[np.float32]:
        """A masked copy of (frames, bins)."""
        masked = spectrogram.copy()
        for _ in range(self.time_masks):
            masked[_stripe(len(masked), self.time_width, draws)] = 0
        for _ in range(self.frequency_masks):
            masked[:, _stripe(masked.shape[1], self.frequency_width, draws)] = 0
        return masked


def _stripe(size: int, widest: int, draws: Draws) -> slice:
    width = draws.integer(0, min(widest, size))
    start = draws.integer(0, size - width)
    return slice(start, start + width)

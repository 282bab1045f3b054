"""Sound as it is (paper section 4.2: raw audio)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.counter import Draws


@dataclass(frozen=True)
class RawAudio:
    """The samples themselves, full scale from -1 to 1; the model takes so many of them as an element.

    Nothing but its time is changed in training (stated, section 4.2).
    """

    def shape(self, samples: int) -> tuple[int]:
        """(samples,)"""
        return (samples,)

    def of(self, sound: NDArray[np.float32], rate: int, draws: Draws | None = None) -> NDArray[np.float32]:
        """The sound."""
        return sound

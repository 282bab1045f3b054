"""Sound as a log-mel spectrogram (paper section 4.2: "4,800 inputs once flattened").

The paper gives neither bins nor hop; everything here is assumed (docs/paper.md section 1.7).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import SpecError
from pipelines.data.audio.specaugment import SpecAugment
from pipelines.data.counter import Draws

FLOOR = -100.0
"""Decibels below which a bin is silent; a sine of full scale is near -5."""


@dataclass(frozen=True)
class LogMel:
    """A spectrogram of `bins` mel bands from 0 Hz to half the rate, a frame per `hop` samples.

    Hann windows of `window` samples, centred on the hops, the sound reflected at its ends. Power is that of
    a weighted mean over the window, so that it does not depend on its length; the bands are triangles of
    height 1 between points equally spaced on the HTK mel scale. Decibels from -100 to 0 become -1 to 1.
    masks: what training blots out
    """

    bins: int = 80
    window: int = 2048
    hop: int = 1024
    masks: SpecAugment | None = field(default_factory=SpecAugment)

    def __post_init__(self) -> None:
        for name in ("bins", "window", "hop"):
            if getattr(self, name) < 1:
                raise SpecError(f"LogMel.{name} must be 1 or more, got {getattr(self, name)}.")
        if self.hop > self.window:
            raise SpecError(f"LogMel.hop is at most its window, {self.window} samples, got {self.hop}.")

    def require_bands(self, rate: int) -> None:
        """Refuse, with SpecError, bands narrower than the resolution of the spectrum."""
        if not bool((_filters(self.bins, self.window, rate) > 0).any(dim=0).all()):
            raise SpecError(
                f"LogMel.bins = {self.bins} leaves bands between the {rate / self.window:.1f} Hz steps of a "
                f"window of {self.window} samples: take fewer bins or a longer window."
            )

    def shape(self, samples: int) -> tuple[int, int]:
        """(frames, bins) of that many samples: a frame that begins with the end of the sound is not kept."""
        return samples // self.hop, self.bins

    def of(self, sound: NDArray[np.float32], rate: int, draws: Draws | None = None) -> NDArray[np.float32]:
        """(frames, bins) of mono samples (n,) in [-1, 1], `rate` of them per second; masked by the draws."""
        window, filters = _hann(self.window), _filters(self.bins, self.window, rate)
        spectrum = torch.stft(
            torch.from_numpy(sound), self.window, self.hop, window=window, center=True, return_complex=True
        )
        power = torch.view_as_real(spectrum[:, : len(sound) // self.hop]).square().sum(dim=-1)
        decibels = 10 * (power.T @ filters).clamp(min=10 ** (FLOOR / 10)).log10()
        levels = np.asarray((1 - 2 * decibels / FLOOR).numpy(), np.float32)
        return self.masks(levels, draws) if self.masks and draws else levels


def hertz(mel: Tensor) -> Tensor:
    """Frequencies of points on the HTK mel scale."""
    return 700 * (10 ** (mel / 2595) - 1)


@cache
def _hann(length: int) -> Tensor:
    window = torch.hann_window(length, dtype=torch.float64)
    return (window / window.sum()).float()


@cache
def _filters(bins: int, window: int, rate: int) -> Tensor:
    """(window // 2 + 1, bins) weights of the triangles."""
    top = 2595 * math.log10(1 + rate / 2 / 700)
    corners = hertz(torch.linspace(0, top, bins + 2, dtype=torch.float64))
    low, peak, high = corners[:-2], corners[1:-1], corners[2:]
    at = torch.linspace(0, rate / 2, window // 2 + 1, dtype=torch.float64)[:, None]
    return torch.minimum((at - low) / (peak - low), (high - at) / (high - peak)).clamp(min=0).float()

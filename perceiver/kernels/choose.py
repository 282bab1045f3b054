"""The one place that decides how a cross-attend is computed, and says why.

All paths give the same result; where one does not apply there is another, never an approximation. The
thresholds were measured on one thread of an AMD EPYC with AVX-512, forward and backward, at grids from 8 x 8
to 96 x 96; on GPUs they are assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import torch

from perceiver.errors import require_choice

Path = Literal["plain", "absorbed", "factorised"]
AttentionPath = Literal["auto", "plain", "absorbed", "factorised"]

SMALLEST_WORK = 1 << 21
"""Products b n m c under which nothing is gained: the operations around them cost as much."""

SMALLEST_GRID_WORK = 1 << 23
"""The same for a grid, which takes more and smaller operations."""

SMALLEST_SAVING = 1.2
"""Fewer products, by a factor, that are worth absorbing the projections for."""

CHANNELS_PER_DATA_CHANNEL = 8
"""A grid's logit costs some 8 (x + 3) multiplications; half precision makes only the others cheaper."""

MOST_DATA_CHANNELS = 16
"""Of the Triton kernels, which walk them one by one."""

HAS_TRITON = find_spec("triton") is not None


@dataclass(frozen=True)
class CrossAttendShape:
    """What the choice depends on.

    `grid_axes` are the sizes of a grid whose positions follow from its axes (Fourier), else None; `half` says
    that autocast halves the precision; `trained_elements` that elements need gradients (learned positions,
    modality vectors), `masked` that some are not to be attended to.
    """

    batch: int
    latents: int
    elements: int
    channels: int
    data_channels: int
    qkv_channels: int
    heads: int
    grid_axes: tuple[int, ...] | None
    trained_elements: bool = False
    masked: bool = False
    dropout: float = 0.0
    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    half: bool = False

    @property
    def work(self) -> int:
        """b n m c: multiplications of a single-headed product of latents and elements."""
        return self.batch * self.latents * self.elements * self.channels

    @property
    def saving(self) -> float:
        """Multiplications of the plain formula over those with the projections absorbed."""
        plain = 2 * self.elements * self.qkv_channels * (self.channels + self.latents)
        per_head = 2 * self.latents * self.channels * (self.elements + self.qkv_channels / self.heads)
        return plain / (self.heads * per_head)


@dataclass(frozen=True)
class Choice:
    """A path and why it was taken."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def choose(shape: CrossAttendShape, wanted: AttentionPath = "auto") -> Choice:
    """The path of a cross-attend; a path that is wanted but does not apply falls back, saying so.

    Raises ConfigError for a path there is none of.
    """
    require_choice("Perceiver", "attention_path", wanted, AttentionPath)
    if shape.masked:
        return Choice("plain", "some elements are not attended to")
    if shape.dropout:
        return Choice("plain", "with attention dropout the rows of weights no longer sum to one")
    if wanted == "auto":
        return _cheapest(shape)
    obstacle = grid_obstacle(shape) if wanted == "factorised" else None
    if obstacle is not None:
        return Choice("absorbed", f"not factorised, since {obstacle}")
    return _factorised(shape, "as asked") if wanted == "factorised" else Choice(wanted, "as asked")


def _cheapest(shape: CrossAttendShape) -> Choice:
    obstacle = grid_obstacle(shape) or grid_loss(shape)
    if obstacle is None:
        return _factorised(shape, "positions on a grid need no features per element")
    if shape.work < SMALLEST_WORK:
        return Choice("plain", "too few products to save on")
    if shape.saving < SMALLEST_SAVING:
        return Choice("plain", f"absorbing the projections saves too little ({shape.saving:.2f}); {obstacle}")
    return Choice("absorbed", f"{shape.saving:.2f} times fewer products; {obstacle}")


def grid_obstacle(shape: CrossAttendShape) -> str | None:
    """Why a grid cannot be factorised; None if it can."""
    if shape.trained_elements:
        return "the elements need gradients"
    if shape.grid_axes is None:
        return "the elements have no Fourier positions on a grid"
    return None


def grid_loss(shape: CrossAttendShape) -> str | None:
    """Why factorising a grid would cost more than it saves; None if it saves."""
    assert shape.grid_axes is not None
    if len(shape.grid_axes) < 2:
        return "a grid of one axis has nothing to factorise"
    if shape.elements < 256 or shape.work < SMALLEST_GRID_WORK:
        return f"the grid of {shape.elements} elements is too small to factorise"
    needed = CHANNELS_PER_DATA_CHANNEL * (shape.data_channels + 3) * (2 if shape.half else 1)
    if shape.device == "cpu" and shape.channels < needed:
        return f"factorising pays from {needed} channels on, and there are {shape.channels}"
    if shape.device != "cpu":
        return triton_obstacle(shape.device, shape.dtype, data_channels=shape.data_channels)
    return None


def triton_obstacle(device: str, dtype: torch.dtype, *, data_channels: int) -> str | None:
    """Why the Triton kernels cannot attend to a grid here; None if they can."""
    if device != "cuda":
        return f"the Triton kernels are for CUDA, not {device}"
    if dtype == torch.float64:
        return "the Triton kernels work in float32"
    if data_channels > MOST_DATA_CHANNELS:
        return f"the Triton kernels take {MOST_DATA_CHANNELS} data channels, not {data_channels}"
    if not HAS_TRITON:
        return "Triton is not installed"
    return None


def _factorised(shape: CrossAttendShape, reason: str) -> Choice:
    on_triton = triton_obstacle(shape.device, shape.dtype, data_channels=shape.data_channels) is None
    return Choice("factorised", f"{reason}; {'Triton kernels' if on_triton else 'tensor operations'}")

"""Position features: what tells an element where it is (paper section 3.2; docs/paper.md section 1.4).

For a coordinate x in [-1, 1] on each of d axes, a Fourier encoding is

    [x_1 .. x_d,  sin(pi f_k x_i) axis by axis,  cos(pi f_k x_i) axis by axis],   k = 1 .. bands,

with f_k equally spaced from 1 to mu / 2, where mu is the axis's maximum resolution. It is appended to the
data channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from perceiver.errors import ConfigError, require_choice, require_counts

Spacing = Literal["linear", "log"]


@dataclass(frozen=True)
class Fourier:
    """Sines and cosines of the coordinates.

    `max_resolution` is mu, the sampling rate whose Nyquist frequency mu / 2 is the highest band: one number
    for all axes or one per axis. The paper's "maximum frequency" of ModelNet40, 1120, is mu / 2, so mu is
    2240 there. Spacing "linear" is the paper's (v2); "log" is that of its first version. Raises ConfigError.
    """

    bands: int
    max_resolution: float | tuple[float, ...]
    spacing: Spacing = "linear"
    concat_position: bool = True

    def __post_init__(self) -> None:
        require_counts("Fourier", bands=self.bands)
        require_choice("Fourier", "spacing", self.spacing, Spacing)
        resolutions = (
            self.max_resolution if isinstance(self.max_resolution, tuple) else (self.max_resolution,)
        )
        for resolution in resolutions:
            if not 2 <= resolution < math.inf:
                raise ConfigError(
                    "Fourier.max_resolution must be at least 2, for the bands run from 1 to its half, "
                    f"given {resolution}"
                )

    def channels(self, axes: int) -> int:
        """Features per element: axes (2 bands + 1), without the 1 if the position itself is left out."""
        return axes * (2 * self.bands + self.concat_position)

    def resolutions(self, axes: int) -> tuple[float, ...]:
        """mu of each axis. Raises ConfigError if as many were not given."""
        if not isinstance(self.max_resolution, tuple):
            return (self.max_resolution,) * axes
        if len(self.max_resolution) != axes:
            raise ConfigError(
                "Fourier.max_resolution must be one number or one per axis, "
                f"given {self.max_resolution} for {axes} axes"
            )
        return self.max_resolution


@dataclass(frozen=True)
class Learned:
    """A learned vector for every element, from a normal distribution cut at two standard deviations.

    The defaults are the paper's on ImageNet: 128 channels at scale 1 (section 4.1, appendix B). Raises
    ConfigError.
    """

    channels: int = 128
    init_std: float = 1.0

    def __post_init__(self) -> None:
        require_counts("Learned", channels=self.channels)
        if not 0 < self.init_std < math.inf:
            raise ConfigError(f"Learned.init_std must be positive, given {self.init_std}")


Positions = Fourier | Learned | None


def position_channels(positions: Positions, axes: int) -> int:
    """Channels that the positions add to every element of a grid with that many axes."""
    match positions:
        case Fourier():
            return positions.channels(axes)
        case Learned():
            return positions.channels
        case None:
            return 0


def frequencies(bands: int, max_resolution: float, spacing: Spacing, like: Tensor) -> Tensor:
    """The bands f_k (bands,) from 1 to mu / 2, both included; device and precision are those of `like`."""
    highest = max_resolution / 2
    if spacing == "linear":
        return torch.linspace(1.0, highest, bands, device=like.device, dtype=like.dtype)
    return torch.logspace(0.0, math.log2(highest), bands, base=2.0, device=like.device, dtype=like.dtype)


def fourier_features(coordinates: Tensor, fourier: Fourier) -> Tensor:
    """Encode coordinates (..., d) in [-1, 1] as features (..., d (2 bands + 1)), never below float32.

    Half precision would not resolve the angles: at mu = 2240 they reach 3500 radians.
    """
    x = coordinates.to(torch.promote_types(coordinates.dtype, torch.float32))
    resolutions = fourier.resolutions(x.shape[-1])
    angles = torch.cat(
        [
            math.pi * x[..., axis, None] * frequencies(fourier.bands, resolution, fourier.spacing, like=x)
            for axis, resolution in enumerate(resolutions)
        ],
        dim=-1,
    )
    features = [angles.sin(), angles.cos()]
    return torch.cat([x, *features] if fourier.concat_position else features, dim=-1)


def grid_coordinates(axes: tuple[int, ...]) -> Tensor:
    """Coordinates (m, d), float64, of a grid, last axis fastest; each runs from -1 to 1, ends included."""
    lines = [torch.linspace(-1.0, 1.0, size, dtype=torch.float64, device="cpu") for size in axes]
    return torch.stack(torch.meshgrid(*lines, indexing="ij"), dim=-1).reshape(-1, len(axes))


def grid_features(axes: tuple[int, ...], fourier: Fourier) -> Tensor:
    """Features (m, d (2 bands + 1)) of a grid, evaluated in float64 and rounded once to float32."""
    return fourier_features(grid_coordinates(axes), fourier).to(torch.float32)


def axis_features(axes: tuple[int, ...], fourier: Fourier) -> tuple[list[Tensor], list[int]]:
    """What makes up grid_features: a table (size, 2 bands + 1) per axis, and every feature's axis.

    A feature depends on one coordinate only; those of one axis stand in the grid's order and in the table's.
    """
    line = [(resolution,) for resolution in fourier.resolutions(len(axes))]
    tables = [
        grid_features((size,), replace(fourier, max_resolution=resolution))
        for size, resolution in zip(axes, line, strict=True)
    ]
    by_axis = [axis for axis in range(len(axes)) for _ in range(fourier.bands)]
    return tables, [*(range(len(axes)) if fourier.concat_position else ()), *by_axis, *by_axis]

"""The modules from a raw batch to elements (b, m, c): data channels first, then position features."""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from perceiver.errors import require_batch
from perceiver.initialise import lecun_linear, truncated_normal_
from perceiver.kernels import GridInputs, GridPositions, grid_positions, prepare
from perceiver.positions import (
    Fourier,
    Learned,
    Positions,
    axis_features,
    fourier_features,
    position_channels,
)


class Scaling(NamedTuple):
    """Factors and offsets, one of each per colour channel, that make the data of 8-bit pixels."""

    scale: tuple[float, ...]
    shift: tuple[float, ...]


class GridElements(nn.Module):
    """Elements on a grid: images, sound, spectrograms, video patches.

    `pattern` is the einops pattern from raw (b, *shape) to values (b, m, c), `sizes` its patch sizes, `axes`
    the grid of the m elements. `permutation` seeds one fixed order of the elements, the same for all
    examples, taken after the positions are attached (paper, Table 2). With a `scaling` the raw batch is
    uint8. Where `lifted` data channels are named, a linear layer makes them as wide as the positions, which
    are added to them instead of appended.
    """

    permutation: Tensor | None
    positions: Tensor | None
    rows: Tensor | None
    columns: Tensor | None
    scale: Tensor | None
    shift: Tensor | None

    def __init__(
        self,
        name: str,
        *,
        shape: tuple[int, ...],
        pattern: str,
        axes: tuple[int, ...],
        positions: Positions,
        sizes: dict[str, int] | None = None,
        permutation: int | None = None,
        scaling: Scaling | None = None,
        lifted: int | None = None,
    ) -> None:
        super().__init__()
        self.name, self.shape, self.pattern, self.axes = name, shape, pattern, axes
        self.sizes = sizes or {}
        number = int(torch.Size(axes).numel())
        rows = columns = self.positions = None
        match positions:
            case Fourier():
                # The features of all elements would take 52 MB on ImageNet; these tables make them up.
                rows, columns = grid_positions(*axis_features(axes, positions))
            case Learned():
                table = truncated_normal_(torch.empty(number, positions.channels), positions.init_std)
                self.positions = nn.Parameter(table)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)
        # The channels of a patch are its pixels' one after the other, the colours fastest.
        pixels = int(torch.Size(self.sizes.values()).numel())
        for of_data, of_colours in zip(("scale", "shift"), scaling or (None, None), strict=True):
            factors = None if of_colours is None else torch.tensor(of_colours).repeat(pixels)
            self.register_buffer(of_data, factors, persistent=False)
        self.lift = lecun_linear(lifted, position_channels(positions, len(axes))) if lifted else None
        order = None
        if permutation is not None:
            order = torch.randperm(number, generator=torch.Generator().manual_seed(permutation), device="cpu")
        self.register_buffer("permutation", order, persistent=False)

    def stored(self, raw: Tensor) -> Tensor:
        """The data channels (b, m, x) of a raw batch (b, *shape), in grid order, before any scaling.

        Raises InputError.
        """
        require_batch(self.name, raw, self.shape, eight_bit=self.scale is not None)
        values: Tensor = rearrange(raw, self.pattern, **self.sizes)
        return values

    def values(self, raw: Tensor, kept: Tensor | None = None) -> Tensor:
        """The data channels (b, m, x) of a raw batch (b, *shape), in grid order. Raises InputError.

        Where `kept` (b,) is given they are zero in the examples of which it is false.
        """
        stored, scale, shift = self.stored(raw), self.scale, self.shift
        if scale is None or shift is None:
            return stored if kept is None else _zeroed(stored, kept)
        if kept is not None:
            # Nothing of the size of the batch is made: the zero of what 8 bits stand for is none of them.
            scale, shift = kept.view(-1, 1, 1) * scale, kept.view(-1, 1, 1) * shift
        return stored * scale + shift

    def features(self) -> Tensor | None:
        """The position features (m, p), in grid order; None if there are none."""
        if self.rows is None or self.columns is None:
            return self.positions
        return (self.rows[:, None] + self.columns).flatten(0, 1)

    def grid_inputs(self, raw: Tensor) -> GridInputs:
        """The normalised elements of a raw batch (b, *shape), not built; Fourier positions only.

        In grid order: attention does not depend on it. Raises InputError.
        """
        assert self.rows is not None
        assert self.columns is not None
        positions, stored = GridPositions(self.rows, self.columns), self.stored(raw)
        if self.scale is None or self.shift is None:
            return GridInputs(prepare(stored, positions))
        return GridInputs(prepare(stored, positions, scale=self.scale, shift=self.shift))

    def forward(self, raw: Tensor, kept: Tensor | None = None) -> Tensor:
        """Elements (b, m, c) of a raw batch (b, *shape). Raises InputError.

        Of examples of which `kept` (b,) is false only the positions are left.
        """
        elements, features = self.values(raw, kept), self.features()
        if features is not None and self.lift is not None:
            elements = self.lift(elements) + features
        elif features is not None:
            elements = torch.cat([elements, repeat(features, "m p -> b m p", b=len(elements))], dim=-1)
        return elements if self.permutation is None else elements[:, self.permutation]


class PointElements(nn.Module):
    """Elements at free coordinates (b, m, d), each example's own; they are both data and position."""

    def __init__(
        self, name: str, *, shape: tuple[int, ...], positions: Fourier | None, coordinates: bool = False
    ) -> None:
        super().__init__()
        self.name, self.shape, self.fourier, self.coordinates = name, shape, positions, coordinates

    def forward(self, raw: Tensor, kept: Tensor | None = None) -> Tensor:
        """Elements (b, m, c) of coordinates (b, m, d). Raises InputError.

        The points of examples of which `kept` (b,) is false are all at the origin.
        """
        require_batch(self.name, raw, self.shape)
        raw = raw if kept is None else _zeroed(raw, kept)
        if self.fourier is None:
            return raw
        features = fourier_features(raw, self.fourier)
        return torch.cat([raw, features], dim=-1) if self.coordinates else features


def _zeroed(values: Tensor, kept: Tensor) -> Tensor:
    """Values (b, m, x), with zeros in the examples of which `kept` (b,) is false."""
    # Multiplying would turn an infinity into NaN.
    return torch.where(kept.view(-1, 1, 1), values, 0)

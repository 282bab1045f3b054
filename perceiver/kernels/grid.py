"""Elements on a grid, never built: data channels, one table of features per row and one per column.

On a grid the position features of an element depend on one coordinate each, so an element is

    z_m = [x_m, 0] + rows[i] + columns[j]            m = (i, j)

with `columns` the last axis and `rows` all the others. Everything a cross-attend needs of z follows from x
and the two tables: the statistics of its norm, inner products with queries, and weighted sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from perceiver.errors import InputError


class GridPositions(NamedTuple):
    """Tables rows (r, p) and columns (w, p) of p position features, each zero in one of the two."""

    rows: Tensor
    columns: Tensor


class Grid(NamedTuple):
    """A batch of normalised elements on a grid, in the 2 x + 5 numbers per element that attention needs.

    keys (b, r, x + 3, w):   x / deviation, 1 / deviation, 1, log2(1 / deviation)
    values (b, r, x + 2, w): x, 1, deviation
    rows (r, c), columns (w, c): the tables of GridPositions, zero in the data channels
    """

    keys: Tensor
    values: Tensor
    rows: Tensor
    columns: Tensor

    @property
    def data_channels(self) -> int:
        """x."""
        return self.values.shape[2] - 2

    def of(self, images: slice) -> Grid:
        """Some images of the batch."""
        return self._replace(keys=self.keys[images], values=self.values[images])

    def every(self, step_r: int, step_w: int) -> Grid:
        """Every few rows and columns."""
        return Grid(
            self.keys[:, ::step_r, :, ::step_w].contiguous(),
            self.values[:, ::step_r, :, ::step_w].contiguous(),
            self.rows[::step_r],
            self.columns[::step_w],
        )


def grid_positions(tables: Sequence[Tensor], axis_of: Sequence[int]) -> GridPositions:
    """Positions from one table of features (size, p_a) per axis of the grid, the last axis fastest.

    `axis_of` tells of each feature of an element to which axis it belongs; the features of one axis have the
    order of its table. Raises InputError if they disagree.
    """
    owned = [[k for k, axis in enumerate(axis_of) if axis == a] for a in range(len(tables))]
    if [table.shape[1] for table in tables] != [len(channels) for channels in owned]:
        expected, given = [len(channels) for channels in owned], [tuple(table.shape) for table in tables]
        raise InputError(f"tables must have {expected} features, as axis_of says, given shapes {given}")
    placed = [table.new_zeros(len(table), len(axis_of)) for table in tables]
    for table, channels, wide in zip(tables, owned, placed, strict=True):
        wide[:, channels] = table
    *leading, columns = placed
    rows = columns.new_zeros(1, columns.shape[1])
    for table in leading:
        rows = (rows[:, None] + table).flatten(0, 1)
    return GridPositions(rows, columns)


def prepare(
    data: Tensor,
    positions: GridPositions,
    *,
    scale: Tensor | float = 1.0,
    shift: Tensor | float = 0.0,
    eps: float = 1e-5,
) -> Grid:
    """Prepare data channels (b, m, x) in grid order, once for all cross-attends of a forward pass.

    They may be 8-bit pixels; what is attended to is data * scale + shift, numbers or one per channel (x,).

    Statistics are taken in float64, since the variance is a difference of two sums; the rest has the
    precision of the tables, float32 at least. Raises InputError if m is not the grid's.
    """
    dtype = torch.promote_types(positions.rows.dtype, torch.float32)
    rows, columns = (F.pad(table.to(dtype), (data.shape[-1], 0)) for table in positions)
    if data.shape[1] != len(rows) * len(columns):
        raise InputError(
            f"data must have the grid's {len(rows)} x {len(columns)} elements, given {data.shape[1]}"
        )
    x = rearrange(data.to(dtype) * scale + shift, "b (r w) x -> b r x w", w=len(columns))
    exact = x.double(), rows.double(), columns.double()
    mean, square = _mean(*exact), _mean(*(part.square() for part in exact))
    deviation = (square - mean.square()).clamp(min=0).add(eps).sqrt().to(dtype)
    inverse, ones = deviation.reciprocal(), torch.ones_like(deviation)
    return Grid(
        keys=torch.cat([x * inverse, inverse, ones, inverse.log2()], dim=2),
        values=torch.cat([x, ones, deviation], dim=2),
        rows=rows,
        columns=columns,
    )


def _mean(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Means over the channels of every element (b, r, 1, w)."""
    total: Tensor = x.sum(2, keepdim=True) + rows.sum(1)[:, None, None] + columns.sum(1)
    return total / rows.shape[1]

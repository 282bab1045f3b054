"""Attention to elements on a grid, in plain tensor operations, without building them.

Computed is    o_n = sum_m a_nm s_m z_m    with    a_nm = softmax_m(s_m q_n . z_m)

where z_m = [x_m, 0] + rows[i] + columns[j] and s_m is one over its deviation. A logit needs x small products
and one entry each of the tables q rows' (n, r) and q columns' (n, w); the sum needs the row and column
marginals of the weights. The order of work, for a few rows of the grid and all latents at a time:

    logits in base 2       one small matrix product per row, plus s times the column table
    weights                exp2, in place: four times as fast as exp on CPUs, also where it underflows
    column marginal        added up
    data sums, row marginal, normaliser      one small matrix product per row

The exponent includes log2 s, so that weights come multiplied by s, and a shift. Softmax is the same for any
shift; one near the maximum keeps its terms in range. The maximum over every few elements is near enough: it
is reached, so not everything underflows; should something overflow, the exact maximum is taken instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from perceiver.kernels.grid import Grid

TILE = 1 << 19
"""Logits held at once: 2 MB in float32, measured fastest with 1 MB of cache per core, also for two cores."""

SAMPLES = 16
"""Rows and columns looked at for the shift."""

LARGEST = 2.0**100
"""A normaliser above this may have lost terms to overflow."""

LOG2_E = math.log2(math.e)


def forward(grid: Grid, queries: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted sums (b, n, c) and base 2 logarithms of the normalisers (b, n) of queries (b, n, c)."""
    out, normaliser = torch.empty_like(queries), queries.new_empty(queries.shape[:2])
    for block in _blocks(grid, queries):
        out[block], normaliser[block] = _weighted_mean(grid.of(block[0]), queries[block])
    return out, normaliser


def backward(grid: Grid, queries: Tensor, out: Tensor, normaliser: Tensor, grad: Tensor) -> Tensor:
    """The gradient of the queries (b, n, c) from that of the sums; `out`, `normaliser` are the forward's."""
    grad_queries = torch.empty_like(queries)
    for block in _blocks(grid, queries):
        change = _change(grid.of(block[0]), queries[block], out[block], normaliser[block], grad[block])
        grad_queries[block] = change
    return grad_queries


def _blocks(grid: Grid, queries: Tensor) -> Iterator[tuple[slice, slice]]:
    """Images and latents whose logits fit a tile, or one image's latents whose logits of one row do."""
    (b, n, _), (_, r, _, w) = queries.shape, grid.keys.shape
    latents = min(n, max(1, TILE // w))
    images = max(1, TILE // (r * w * latents))
    for image in range(0, b, images):
        for latent in range(0, n, latents):
            yield slice(image, image + images), slice(latent, latent + latents)


class _Products:
    """s_m q_n . z_m + constants, for queries (b, n, c).

    The constants, (b, n) or numbers, are factors of the keys that follow the data and 1 / deviation.
    """

    def __init__(self, grid: Grid, queries: Tensor, *constants: Tensor | float) -> None:
        x, (b, n, _), r = grid.data_channels, queries.shape, len(grid.rows)
        used = x + 1 + len(constants)
        factors = queries.new_empty(b, r, used, n)
        factors[:, :, :x] = queries[:, None, :, :x].mT
        factors[:, :, x] = grid.rows @ queries.mT
        for k, constant in enumerate(constants):
            factors[:, :, x + 1 + k] = constant[:, None] if isinstance(constant, Tensor) else constant
        self.factors = factors.flatten(0, 1).mT
        self.keys = grid.keys[:, :, :used].flatten(0, 1)
        self.scale = grid.keys[:, :, x].flatten(0, 1)[:, None]
        self.by_column = (queries @ grid.columns.T)[:, None]

    def of(self, rows: slice, out: Tensor) -> Tensor:
        """The products of some rows of all images, into `out` (rows, n, w)."""
        b, _, n, w = self.by_column.shape
        torch.bmm(self.factors[rows], self.keys[rows], out=out)
        out.view(b, -1, n, w).addcmul_(self.by_column, self.scale[rows].view(b, -1, 1, w))
        return out


def _tiles(grid: Grid, latents: int) -> Iterator[tuple[slice, Tensor]]:
    """Rows of all images, (b r), that are worked on together, and room for their logits (rows, n, w)."""
    b, r, _, w = grid.keys.shape
    step = b * r if b > 1 else max(1, TILE // (latents * w))
    room = grid.keys.new_empty(min(step, b * r), latents, w)
    for start in range(0, b * r, step):
        yield slice(start, start + step), room[: b * r - start]


def _weighted_sum(
    grid: Grid, latents: int, weights: Callable[[slice, Tensor], Tensor], *, used: int
) -> tuple[Tensor, Tensor]:
    """sum_m A_m z_m (b, n, c), and the sums of A with the last of the values that are used (b, n).

    `weights` computes A for some rows into the room it is given.
    """
    b, r, _, w = grid.values.shape
    x, values = grid.data_channels, grid.values[:, :, :used].flatten(0, 1)
    by_row = values.new_empty(b * r, used, latents)
    by_column = None
    for rows, room in _tiles(grid, latents):
        tile = weights(rows, room)
        torch.bmm(values[rows], tile.mT, out=by_row[rows])
        if by_column is None:
            by_column = tile.clone() if len(tile) < b * r else tile
        else:
            by_column[: len(tile)] += tile
    assert by_column is not None
    sums = by_row.view(b, r, used, latents)
    total = sums[:, :, x].mT @ grid.rows + by_column.view(b, -1, latents, w).sum(1) @ grid.columns
    total[..., :x] += sums[:, :, :x].sum(1).mT
    return total, sums[:, :, -1].sum(1)


def _maximum(grid: Grid, queries: Tensor) -> Tensor:
    """The largest logit of each query (b, n)."""
    products, (b, n, _), w = _Products(grid, queries), queries.shape, len(grid.columns)
    tiles = [products.of(*tile).view(b, -1, n, w).amax((1, 3)) for tile in _tiles(grid, n)]
    return torch.stack(tiles).amax(0)


def _weighted_mean(grid: Grid, queries: Tensor) -> tuple[Tensor, Tensor]:
    queries, n = queries * LOG2_E, queries.shape[1]

    def sums(shift: Tensor) -> tuple[Tensor, Tensor]:
        logits = _Products(grid, queries, -shift, 1.0)
        used = grid.data_channels + 2
        return _weighted_sum(grid, n, lambda rows, room: logits.of(rows, room).exp2_(), used=used)

    shift = _maximum(grid.every(-(-len(grid.rows) // SAMPLES), -(-len(grid.columns) // SAMPLES)), queries)
    total, normaliser = sums(shift)
    if not bool((normaliser < LARGEST).all()):
        shift = _maximum(grid, queries)
        total, normaliser = sums(shift)
    return total / normaliser[..., None], shift + normaliser.log2()


def _change(grid: Grid, queries: Tensor, out: Tensor, normaliser: Tensor, grad: Tensor) -> Tensor:
    """The queries' gradient sum_m a_nm (d_nm - sum_m a_nm d_nm) s_m z_m with d_nm = s_m grad_n . z_m."""
    logits = _Products(grid, queries * LOG2_E, -normaliser, 1.0)
    change = _Products(grid, grad, -(grad * out).sum(-1))
    more_room = torch.empty_like(next(_tiles(grid, queries.shape[1]))[1])

    def weights(rows: slice, room: Tensor) -> Tensor:
        return logits.of(rows, room).exp2_().mul_(change.of(rows, more_room[: len(room)]))

    return _weighted_sum(grid, queries.shape[1], weights, used=grid.data_channels + 1)[0]

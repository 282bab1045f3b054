"""Attention to elements on a grid on NVIDIA GPUs: `perceiver.kernels.grid_attention` as two Triton kernels.

A program owns some latents and some columns of one image, and walks down the rows. The column marginal and
the data sums stay in registers; the forward rescales them when the running maximum moves, and writes a row's
marginal with the maximum it was computed under. Programs that split the columns of one image are merged
afterwards. Arithmetic is float32 whatever the precision of the tensors. Imported only where Triton is.
"""

# The arguments of a kernel are pointers and sizes, which Triton types itself.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: PLR0917

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from perceiver.kernels.grid import Grid
from perceiver.kernels.grid_attention import LOG2_E

LATENTS = 16
"""Latents of a program: with 128 columns a marginal takes 16 registers of each of 128 threads."""

MOST_COLUMNS = 128


@triton.jit
def _products(data, by_row, by_column, keys, scale, at_n, at_w, in_n, in_w, w, X: tl.constexpr):  # noqa: N803
    """s_m q_n . z_m for a row of the grid (LATENTS, columns)."""
    total = (by_column + by_row[:, None]) * scale[None, :]
    for k in tl.static_range(X):
        coefficient = tl.load(data + at_n * X + k, mask=in_n, other=0.0).to(tl.float32)
        key = tl.load(keys + k * w + at_w, mask=in_w, other=0.0).to(tl.float32)
        total += coefficient[:, None] * key[None, :]
    return total


@triton.jit
def _data_sums(weights, keys, at_w, in_w, w, X: tl.constexpr, XP: tl.constexpr):  # noqa: N803
    """sum_m weights_nm s_m x_m over a row of the grid (LATENTS, XP); channels from X on are zero."""
    sums = tl.zeros((weights.shape[0], XP), tl.float32)
    channel = tl.arange(0, XP)
    for k in tl.static_range(X):
        key = tl.load(keys + k * w + at_w, mask=in_w, other=0.0).to(tl.float32)
        sums += tl.where(channel[None, :] == k, tl.sum(weights * key[None, :], 1)[:, None], 0.0)
    return sums


@triton.jit
def _forward_kernel(
    q_data, q_rows, q_columns, keys,
    out_data, out_rows, out_columns, row_maximum, maximum, normaliser,
    n, r, w, splits,
    X: tl.constexpr, XP: tl.constexpr, BN: tl.constexpr, BW: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Unnormalised sums in base 2; shapes as allocated in `forward`."""
    split, image = tl.program_id(1), tl.program_id(2).to(tl.int64)
    at_n, at_w = tl.program_id(0) * BN + tl.arange(0, BN), split * BW + tl.arange(0, BW)
    in_n, in_w = at_n < n, at_w < w
    at_tile = (image * n + at_n)[:, None] * w + at_w[None, :]
    in_tile = in_n[:, None] & in_w[None, :]
    by_column = tl.load(q_columns + at_tile, mask=in_tile, other=0.0).to(tl.float32)
    largest = tl.full((BN,), float("-inf"), tl.float32)
    total = tl.zeros((BN,), tl.float32)
    data = tl.zeros((BN, XP), tl.float32)
    columns = tl.zeros((BN, BW), tl.float32)
    for row in range(r):
        row_keys = keys + (image * r + row) * (X + 3) * w
        scale = tl.load(row_keys + X * w + at_w, mask=in_w, other=0.0).to(tl.float32)
        by_row = tl.load(q_rows + (image * r + row) * n + at_n, mask=in_n, other=0.0).to(tl.float32)
        logits = _products(
            q_data + image * n * X, by_row, by_column, row_keys, scale, at_n, at_w, in_n, in_w, w, X
        )
        logits = tl.where(in_w[None, :], logits, float("-inf"))
        risen = tl.maximum(largest, tl.max(logits, 1))
        shrink = tl.exp2(largest - risen)
        weights = tl.exp2(logits - risen[:, None])
        scaled = weights * scale[None, :]
        total = total * shrink + tl.sum(weights, 1)
        data = data * shrink[:, None] + _data_sums(weights, row_keys, at_w, in_w, w, X, XP)
        columns = columns * shrink[:, None] + scaled
        at_row = ((image * splits + split) * r + row) * n + at_n
        tl.store(out_rows + at_row, tl.sum(scaled, 1), mask=in_n)
        tl.store(row_maximum + at_row, risen, mask=in_n)
        largest = risen
    at_split = (image * splits + split) * n + at_n
    channel = tl.arange(0, XP)
    tl.store(out_columns + at_tile, columns, mask=in_tile)
    tl.store(
        out_data + at_split[:, None] * X + channel[None, :], data, mask=in_n[:, None] & (channel < X)[None, :]
    )
    tl.store(maximum + at_split, largest, mask=in_n)
    tl.store(normaliser + at_split, total, mask=in_n)


@triton.jit
def _backward_kernel(
    q_data, q_rows, q_columns, g_data, g_rows, g_columns, lse, mean, keys,
    out_data, out_rows, out_columns,
    n, r, w, splits,
    X: tl.constexpr, XP: tl.constexpr, BN: tl.constexpr, BW: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Sums of the change of the logits, a (da - mean), instead of the weights a; else as the forward."""
    split, image = tl.program_id(1), tl.program_id(2).to(tl.int64)
    at_n, at_w = tl.program_id(0) * BN + tl.arange(0, BN), split * BW + tl.arange(0, BW)
    in_n, in_w = at_n < n, at_w < w
    at_tile = (image * n + at_n)[:, None] * w + at_w[None, :]
    in_tile = in_n[:, None] & in_w[None, :]
    by_column = tl.load(q_columns + at_tile, mask=in_tile, other=0.0).to(tl.float32)
    g_by_column = tl.load(g_columns + at_tile, mask=in_tile, other=0.0).to(tl.float32)
    at_latent = image * n + at_n
    shift = tl.load(lse + at_latent, mask=in_n, other=0.0)
    offset = tl.load(mean + at_latent, mask=in_n, other=0.0)
    data = tl.zeros((BN, XP), tl.float32)
    columns = tl.zeros((BN, BW), tl.float32)
    for row in range(r):
        row_keys = keys + (image * r + row) * (X + 3) * w
        scale = tl.load(row_keys + X * w + at_w, mask=in_w, other=0.0).to(tl.float32)
        at_row = (image * r + row) * n + at_n
        by_row = tl.load(q_rows + at_row, mask=in_n, other=0.0).to(tl.float32)
        g_by_row = tl.load(g_rows + at_row, mask=in_n, other=0.0).to(tl.float32)
        logits = _products(
            q_data + image * n * X, by_row, by_column, row_keys, scale, at_n, at_w, in_n, in_w, w, X
        )
        change = _products(
            g_data + image * n * X, g_by_row, g_by_column, row_keys, scale, at_n, at_w, in_n, in_w, w, X
        )
        weights = tl.where(in_tile, tl.exp2(logits - shift[:, None]), 0.0) * (change - offset[:, None])
        scaled = weights * scale[None, :]
        data += _data_sums(weights, row_keys, at_w, in_w, w, X, XP)
        columns += scaled
        at_out = ((image * splits + split) * r + row) * n + at_n
        tl.store(out_rows + at_out, tl.sum(scaled, 1), mask=in_n)
    at_split = (image * splits + split) * n + at_n
    channel = tl.arange(0, XP)
    tl.store(out_columns + at_tile, columns, mask=in_tile)
    tl.store(
        out_data + at_split[:, None] * X + channel[None, :], data, mask=in_n[:, None] & (channel < X)[None, :]
    )


class _Launch:
    """Sizes of a launch, and the two parts of a product that are matrix products with the tables."""

    def __init__(self, grid: Grid, queries: Tensor) -> None:
        self.grid, self.x = grid, grid.data_channels
        (self.b, self.n, _), (_, self.r, _, self.w) = queries.shape, grid.keys.shape
        self.columns_each = min(MOST_COLUMNS, triton.next_power_of_2(self.w))
        self.splits = triton.cdiv(self.w, self.columns_each)
        self.programs = (triton.cdiv(self.n, LATENTS), self.splits, self.b)
        self.sizes = (self.n, self.r, self.w, self.splits)
        self.constants = (self.x, triton.next_power_of_2(self.x), LATENTS, self.columns_each)

    def parts(self, queries: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Data coefficients (b, n, x), products with the rows (b, r, n) and with the columns (b, n, w)."""
        q = queries.float()
        return q[..., : self.x].contiguous(), self.grid.rows @ q.mT, q @ self.grid.columns.T

    def room(self) -> tuple[Tensor, Tensor, Tensor]:
        """Data sums (b, splits, n, x), row marginals (b, splits, r, n), column marginals (b, n, w)."""
        b, n, splits, new = self.b, self.n, self.splits, self.grid.rows.new_empty
        return new(b, splits, n, self.x), new(b, splits, self.r, n), new(b, n, self.w)

    def weighted_sum(self, data: Tensor, by_row: Tensor, by_column: Tensor) -> Tensor:
        """sum_m A_m z_m (b, n, c) from A's data sums and marginals."""
        total = by_row.sum(1).mT @ self.grid.rows + by_column @ self.grid.columns
        total[..., : self.x] += data.sum(1)
        return total


def forward(grid: Grid, queries: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted sums (b, n, c) and base 2 logarithms of the normalisers (b, n) of queries (b, n, c)."""
    launch = _Launch(grid, queries)
    data, by_row, by_column = launch.room()
    row_maximum = torch.empty_like(by_row)
    maximum, normaliser = torch.empty_like(data[..., 0]), torch.empty_like(data[..., 0])
    results = (data, by_row, by_column, row_maximum, maximum, normaliser)
    parts = launch.parts(queries * LOG2_E)
    _forward_kernel[launch.programs](*parts, grid.keys, *results, *launch.sizes, *launch.constants)
    shift = maximum.amax(1)
    share = torch.exp2(maximum - shift[:, None])
    total = (normaliser * share).sum(1)
    by_row *= torch.exp2(row_maximum - shift[:, None, None])
    by_column *= share.mT.repeat_interleave(launch.columns_each, -1)[..., : launch.w]
    out = launch.weighted_sum(data * share[..., None], by_row, by_column) / total[..., None]
    return out.to(queries.dtype), shift + total.log2()


def backward(grid: Grid, queries: Tensor, out: Tensor, normaliser: Tensor, grad: Tensor) -> Tensor:
    """The gradient of the queries (b, n, c) from that of the sums; `out`, `normaliser` are the forward's."""
    launch = _Launch(grid, queries)
    results = launch.room()
    mean = (grad.float() * out.float()).sum(-1)
    parts = (*launch.parts(queries * LOG2_E), *launch.parts(grad), normaliser, mean)
    _backward_kernel[launch.programs](*parts, grid.keys, *results, *launch.sizes, *launch.constants)
    return launch.weighted_sum(*results).to(queries.dtype)

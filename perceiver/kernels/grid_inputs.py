"""Attention to elements on a grid as one differentiable operator, which `torch.compile` need not look into.

Two implementations: tensor operations anywhere, Triton kernels on NVIDIA GPUs. Neither sees autocast: they
work in the precision of the prepared grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from perceiver.kernels import grid_attention
from perceiver.kernels.choose import triton_obstacle
from perceiver.kernels.grid import Grid


@dataclass(frozen=True, eq=False)
class GridInputs:
    """Normalised elements on a grid, ready for every cross-attend of a forward pass."""

    grid: Grid

    def attend(self, queries: Tensor) -> Tensor:
        """softmax(q zhat') zhat over the normalised elements zhat: queries (b, n, c) -> (b, n, c).

        The norm takes the mean over the channels away, zhat = (z - mean z) / deviation: a symmetric
        projection, which applies as well to the few queries and results. No gradient goes to the elements.
        """
        centred = _centre(queries.to(self.grid.keys.dtype))
        return _centre(_attend(centred, *self.grid)[0]).to(queries.dtype)


def _centre(channels: Tensor) -> Tensor:
    return channels - channels.mean(dim=-1, keepdim=True)


def _implementation(grid: Grid) -> ModuleType:
    keys = grid.keys
    if triton_obstacle(keys.device.type, keys.dtype, data_channels=grid.data_channels) is None:
        from perceiver.kernels import grid_triton

        return grid_triton
    return grid_attention


@torch.library.custom_op("perceiver::grid_attend", mutates_args=())
def _attend(
    queries: Tensor, keys: Tensor, values: Tensor, rows: Tensor, columns: Tensor
) -> tuple[Tensor, Tensor]:
    grid = Grid(keys, values, rows, columns)
    with torch.autocast(queries.device.type, enabled=False):
        out, normaliser = _implementation(grid).forward(grid, queries)
    return out, normaliser


@torch.library.custom_op("perceiver::grid_attend_backward", mutates_args=())
def _attend_backward(  # noqa: PLR0917 - an operator takes tensors, one by one
    keys: Tensor,
    values: Tensor,
    rows: Tensor,
    columns: Tensor,
    queries: Tensor,
    out: Tensor,
    normaliser: Tensor,
    grad: Tensor,
) -> Tensor:
    grid = Grid(keys, values, rows, columns)
    with torch.autocast(queries.device.type, enabled=False):
        gradient: Tensor = _implementation(grid).backward(grid, queries, out, normaliser, grad)
    return gradient


@_attend.register_fake
def _(queries: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(queries), queries.new_empty(queries.shape[:2])


@_attend_backward.register_fake
def _(*arguments: Tensor) -> Tensor:
    return torch.empty_like(arguments[-1])


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    queries, *grid = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*grid, queries, *output)


def _differentiate(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    return _attend_backward(*ctx.saved_tensors, grad.contiguous()), None, None, None, None


_attend.register_autograd(_differentiate, setup_context=_save)

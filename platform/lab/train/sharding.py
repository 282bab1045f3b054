"""Weights and moments spread over the workers of a group (FSDP2), and put together again for a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor


def shard(model: nn.Module, world: int, device: torch.device) -> None:
    """Leave every worker its part of every parameter; to be done before there is an optimizer.

    The layers of a stack (the elements of an `nn.ModuleList`) are gathered one at a time when they are used,
    and whatever is in none of them with the whole.
    """
    mesh = init_device_mesh(device.type, (world,))
    for layer in stacked(model):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)


def stacked(model: nn.Module) -> Iterator[nn.Module]:
    """The outermost layers of every stack in the model; one that is used in several places once."""
    seen: set[nn.Module] = set()
    for child in model.children():
        for layer in child if isinstance(child, nn.ModuleList) else stacked(child):
            if layer not in seen:
                seen.add(layer)
                yield layer


def spread(model: nn.Module) -> None:
    """Let go of what a forward pass without a backward one left gathered; for a whole model nothing."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, put together where it is sharded: then all workers must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def part_of(value: Tensor, target: Tensor) -> Tensor:
    """`value`, which every worker has whole, spread as `target` is."""
    if isinstance(target, DTensor):
        # From the worker's own copy: nothing is sent.
        return distribute_tensor(
            value.to(target.device), target.device_mesh, target.placements, src_data_rank=None
        )
    return value.to(target.device)

"""What changes while a run goes on, and how it is taken down and put back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.optim import Optimizer

from lab.errors import CheckpointError
from lab.optim.build import build
from lab.spec import ExperimentSpec
from lab.train.checkpoint import Checkpoint
from lab.train.host import HostCopies
from lab.train.sharding import part_of, shard, whole
from lab.train.tensors import pieces, sha256


@dataclass
class Training:
    """Between two events of the loop this is all that the rest of the run depends on. The learning rate, the
    place in the data and the random state of every worker are functions of `step`."""

    model: nn.Module
    optimizer: Optimizer
    step: int = 0

    @property
    def sharded(self) -> bool:
        """Whether it takes all workers to put a state together."""
        return isinstance(self.model, FSDPModule)

    @classmethod
    def begin(cls, spec: ExperimentSpec, device: torch.device, *, shards: int = 1) -> Training:
        """Freshly initialised from the seed; built on the CPU, so that every device begins with the same
        weights. `shards`: over how many workers they are then spread."""
        torch.manual_seed(spec.seed)
        model = spec.model.build().to(device)
        if shards > 1:
            shard(model, shards, device)
        return cls(model, build(spec.optimizer, model))

    def capture(self, notes: Mapping[str, Any], host: HostCopies | None = None) -> Checkpoint:
        """The state now, with JSON `notes` of the caller. Valid until the next step, or where it is copied to
        a `host` until that is used again. All workers take part where it is spread over them."""
        moments = {
            f"{name}.{key}": value
            for name, weight in self.model.named_parameters()
            for key, value in self.optimizer.state.get(weight, {}).items()
            if isinstance(value, Tensor)
        }
        numbers = [
            {key: value for key, value in group.items() if isinstance(value, int | float)}
            for group in self.optimizer.param_groups
        ]
        kept: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}}
        for part, tensors in (("model", dict(stored(self.model))), ("optimizer", moments)):
            for name, tensor in tensors.items():
                full = whole(tensor)
                kept[part][name] = host.copy(f"{part}/{name}", full) if host else full
        if host:
            host.settle()
        return Checkpoint(self.step, kept["model"], kept["optimizer"], {"optimizer": numbers, **notes})

    def weights_sha256(self) -> str:
        """Of `model.safetensors` in a checkpoint made now. All workers take part where weights are spread."""
        return sha256(pieces({name: whole(tensor) for name, tensor in stored(self.model)}))

    @torch.no_grad()
    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue as if the step of `checkpoint` had just been finished. Raises CheckpointError where it
        does not fit."""
        here = dict(stored(self.model))
        if here.keys() != checkpoint.model.keys():
            odd = ", ".join(sorted(here.keys() ^ checkpoint.model.keys())[:3])
            raise CheckpointError(f"the checkpoint of step {checkpoint.step} is of another model: {odd} ...")
        for name, tensor in here.items():
            tensor.copy_(part_of(checkpoint.model[name], tensor))
        weights = dict(self.model.named_parameters())
        for full_name, value in checkpoint.optimizer.items():
            name, _, key = full_name.rpartition(".")
            weight = weights[name]
            # The count of steps is a number beside each weight, whole wherever that is.
            local = value.to(weight.device) if key == "step" else part_of(value, weight)
            self.optimizer.state[weight][key] = local
        for group, numbers in zip(self.optimizer.param_groups, checkpoint.notes["optimizer"], strict=True):
            group.update(numbers)
        self.step = checkpoint.step


def stored(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and persistent buffers by name; what several modules share appears once, under its first
    name."""
    seen: set[int] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            yield name, tensor.detach()

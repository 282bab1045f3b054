"""The processes that train one model together, and the few things they ever say to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from lab.spec import Shard

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Group:
    """This process as `rank` of `world` with its device. With `world` > 1 the default process group of
    torch.distributed must be up. Every method is collective: all ranks call it, in the same order."""

    rank: int = 0
    world: int = 1
    device: torch.device = CPU

    @classmethod
    def alone(cls, *, gpus: float = 0) -> Group:
        """A single process, on the GPU if it was given one."""
        return cls(device=torch.device("cuda" if gpus else "cpu"))

    @property
    def leads(self) -> bool:
        """Whether this is the one process that writes and reports."""
        return self.rank == 0

    @property
    def shard(self) -> Shard:
        return Shard(self.rank, self.world)

    def wrap(self, model: nn.Module) -> nn.Module:
        """`model` so that `backward` leaves the mean gradient over the group in every process.

        Buffers are not broadcast with every forward pass, which would send all position encodings again and
        again; see `share_buffers`.
        """
        if self.world == 1 or isinstance(model, FSDPModule):
            return model
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(
            model, device_ids=devices, forward_sync_buffers=False, gradient_as_bucket_view=True
        )

    def speaking(self, model: nn.Module, aloud: bool) -> AbstractContextManager[None]:
        """Where a backward pass of the wrapped `model` exchanges gradients only if `aloud`."""
        if isinstance(model, FSDPModule):
            model.set_requires_gradient_sync(aloud)
        if aloud or not isinstance(model, nn.parallel.DistributedDataParallel):
            return nullcontext()
        return model.no_sync()

    def seconds_of_talk(self, model: nn.Module) -> float:
        """What the exchange of gradients lately added to a step, as DistributedDataParallel samples it."""
        if not isinstance(model, nn.parallel.DistributedDataParallel):
            return 0.0
        sampled = model._get_ddp_logging_data()  # type: ignore[no-untyped-call]
        nanoseconds = sampled.get("avg_backward_comm_time", 0) - sampled.get(
            "avg_backward_compute_comm_overlap_time", 0
        )
        return max(0.0, float(nanoseconds) / 1e9)

    def share_buffers(self, model: nn.Module) -> None:
        """Rank 0's persistent buffers (BatchNorm's running statistics) to all, before they are used or saved.

        Each rank normalises over its own slice of a batch: a network with BatchNorm depends on `world`.
        """
        if self.world > 1:
            parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
            for name, tensor in model.state_dict().items():
                if name not in parameters:
                    dist.broadcast(tensor, src=0)

    def total(self, value: Tensor) -> Tensor:
        """The sum of a tensor over the group."""
        return self.totalling(value)()

    def totalling(self, value: Tensor) -> Callable[[], Tensor]:
        """Begin to sum a tensor over the group and go on with other work; what is returned waits for the
        sum."""
        sending = dist.all_reduce(value, async_op=True) if self.world > 1 else None

        def summed() -> Tensor:
            if sending is not None:
                sending.wait()
            return value

        return summed

    def all_reduce_sums(self, sums: Mapping[str, Tensor]) -> dict[str, float]:
        """Named 0-d sums over the group in float64, where counts up to 2^53 are exact. One collective for
        all."""
        if not sums:
            return {}
        names = sorted(sums)
        totals = self.total(torch.stack([sums[name].double() for name in names]).to(self.device))
        return dict(zip(names, totals.tolist(), strict=True))

    def gather(self, tensor: Tensor) -> Tensor:
        """Everybody's tensors, of the same shape, one behind the other in the order of the ranks."""
        if self.world == 1:
            return tensor
        parts = [torch.empty_like(tensor) for _ in range(self.world)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    def anyone(self, flag: bool) -> bool:
        """Whether anybody says yes."""
        if self.world == 1:
            return flag
        return bool(self.total(torch.tensor(float(flag), device=self.device)) > 0)

    def least(self, number: int) -> int:
        """The smallest of everybody's numbers."""
        if self.world == 1:
            return number
        said = torch.tensor(number, device=self.device)
        dist.all_reduce(said, op=dist.ReduceOp.MIN)
        return int(said)

    def leader_says(self, number: int) -> int:
        """Rank 0's number, to all."""
        if self.world == 1:
            return number
        said = torch.tensor(number, device=self.device)
        dist.broadcast(said, src=0)
        return int(said)

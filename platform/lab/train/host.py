"""Tensors as they were at one moment, in the memory of the host."""

from __future__ import annotations

import torch
from torch import Tensor


class HostCopies:
    """Takes copies and keeps their memory for those of the next moment, so that only the first time pays for
    getting it. Costs the host as much memory as the tensors have; pinned where they come from a GPU.
    """

    def __init__(self) -> None:
        self._memory: dict[str, Tensor] = {}

    def copy(self, name: str, tensor: Tensor) -> Tensor:
        """A copy that is valid, after `settle`, until the next one of this name."""
        kept = self._memory.get(name)
        if kept is None or kept.shape != tensor.shape or kept.dtype != tensor.dtype:
            kept = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
            self._memory[name] = kept
        return kept.copy_(tensor, non_blocking=tensor.is_cuda)

    def settle(self) -> None:
        """Wait for copies that are on their way from a device."""
        if any(tensor.is_pinned() for tensor in self._memory.values()):
            torch.cuda.synchronize()

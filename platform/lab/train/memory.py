"""Memory that is not enough: how allocators say it, and the one verdict that a person reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lab.errors import OutOfMemory

ADVICE = "use --micro-batch auto or a number, --sharded over more workers, or take a device with more memory"
_CPU_ALLOCATOR = "can't allocate memory"


def is_out_of_memory(fault: BaseException) -> bool:
    """Whether that is what an allocator says, of a GPU or of the CPU."""
    return isinstance(fault, torch.OutOfMemoryError | MemoryError) or _CPU_ALLOCATOR in str(fault)


def is_short_of_memory(words: str) -> bool:
    """Whether that is what Ray says of a process that it ended to keep its machine alive."""
    return "OutOfMemoryError" in words or "running low on memory" in words


@contextmanager
def one_verdict() -> Iterator[None]:
    """Where what an allocator says becomes OutOfMemory."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as fault:
        if not is_out_of_memory(fault):
            raise
        words = str(fault).strip().partition("\n")[0] or type(fault).__name__
        raise OutOfMemory(f"the memory is not enough ({words.rstrip('.')}): {ADVICE}.") from None

"""A worker's slice of a batch in pieces that fit its memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from lab.errors import OutOfMemory
from lab.spec import Batch
from lab.train.memory import is_out_of_memory


def pieces(batch: Batch, size: int | None) -> Iterator[Batch]:
    """Consecutive parts of up to `size` examples; the whole batch for None."""
    examples = len(batch.ids)
    if size is None or size >= examples:
        yield batch
        return
    for low in range(0, examples, size):
        part = slice(low, low + size)
        inputs = batch.inputs
        yield replace(
            batch,
            inputs={name: tensor[part] for name, tensor in inputs.items()}
            if isinstance(inputs, dict)
            else inputs[part],
            targets=batch.targets[part],
            weights=batch.weights[part],
            ids=batch.ids[part],
        )


def largest_that_fits(examples: int, attempt: Callable[[int], object]) -> int:
    """The first of examples, examples / 2, examples / 4, ... 1 with which `attempt` has memory enough.

    Raises OutOfMemory when not even one example fits.
    """
    size = examples
    while True:
        try:
            attempt(size)
        except (torch.OutOfMemoryError, RuntimeError) as fault:
            if not is_out_of_memory(fault):
                raise
            if size == 1:
                raise OutOfMemory(
                    "one example at a time does not fit the memory: take a device with more or a smaller "
                    f"model ({str(fault).splitlines()[0]})."
                ) from None
        else:
            return size
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        size = -(-size // 2)

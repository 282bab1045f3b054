"""Examples that are scored several times: evaluation inputs with an axis of clips behind the batch.

A data set whose examples are longer than what a model takes (AudioSet: 16 overlapping clips of a video, paper
section 4.2) gives `Source.scan` batches of inputs (b, clips, *shape), where its `input_shape` is `shape`. All
else in a `Batch` is per example as ever: targets, weights and ids are (b,), training has no such axis. All
clips of an example are in one batch, so that it counts once whatever the batches and the workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from lab.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from lab.spec import Shape

    Inputs = Tensor | dict[str, Tensor]


def averaged(score: Callable[[Inputs], Tensor], inputs: Inputs, shape: Shape) -> Tensor:
    """(b, ...) mean over the clips of what `score` makes of inputs (b, *shape).

    Of one clip at a time, so that evaluation takes no more memory than the batch and what training takes.
    Inputs without the axis are scored as they are. Raises DataError for inputs of another shape.
    """
    first, *others = (score(clip) for clip in each_clip(inputs, shape))
    return sum(others, first) / (1 + len(others))


def each_clip(inputs: Inputs, shape: Shape) -> Iterator[Inputs]:
    """Inputs (b, *shape): the first clip of every example, the second, and so on; or all there is."""
    if isinstance(inputs, Mapping) and isinstance(shape, Mapping):
        streams = {name: list(each_clip(inputs[name], each)) for name, each in shape.items()}
        for clips in zip(*streams.values(), strict=True):
            yield dict(zip(streams, clips, strict=True))
    elif isinstance(inputs, Mapping) or isinstance(shape, Mapping):
        raise DataError(f"inputs of shape {shape} are expected, got those of modalities or of a single one.")
    elif inputs.shape[1:] == shape:
        yield inputs
    elif inputs.shape[2:] == shape:
        yield from inputs.unbind(1)
    else:
        raise DataError(f"inputs are (b, *{shape}) or (b, clips, *{shape}), got {tuple(inputs.shape)}.")

"""What is run: an experiment as a frozen value whose content is its identity.

`lab` meets model and data only through the protocols below; it could run any model. Where and with what an
experiment runs (`Resources`, `Settings`) are other types and never part of the digest."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from lab import codec
from lab.durations import Duration, Epochs, Steps
from lab.errors import SpecError
from lab.optim.config import Lamb, Optimizer, Precision, Schedule, StepDecay
from lab.tasks import Classification, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

Shape = tuple[int, ...] | Mapping[str, tuple[int, ...]]
"""Per-example shape of the inputs: one array, or one per modality."""


@dataclass(frozen=True)
class Shard:
    """Worker `rank` of `world`."""

    rank: int = 0
    world: int = 1


@dataclass(frozen=True)
class Batch:
    """What one step consumes on one worker.

    inputs: (b, ...) or one such tensor per modality · targets: (b,) class indices, or (b, classes) ·
    weights: (b,) 1.0, or 0.0 for padding that must not count · ids: (b,) int64, the row in the split
    """

    inputs: Tensor | dict[str, Tensor]
    targets: Tensor
    weights: Tensor
    ids: Tensor


@runtime_checkable
class Model(Protocol):
    """A network as a value: a frozen dataclass that can be counted without being built."""

    @property
    def input_shape(self) -> Shape:
        """Per-example shape of what `build()` takes."""

    @property
    def num_outputs(self) -> int:
        """Width of the logits."""

    def build(self) -> nn.Module:
        """The network, freshly initialised from torch's global random state."""

    def parameters(self) -> int:
        """Trained scalars."""

    def flops(self) -> int:
        """Forward floating point operations per example, multiplies and adds counted separately."""


@runtime_checkable
class Source(Protocol):
    """A prepared data set, open for reading."""

    @property
    def fingerprint(self) -> str:
        """Names the bytes: equal fingerprints, equal examples."""

    def size(self, split: str) -> int:
        """Examples in a split. Raises UnknownName."""

    def batches(
        self, split: str, *, batch_size: int, seed: int, epoch: int, start: int = 0, shard: Shard = Shard()
    ) -> Iterator[Batch]:
        """This shard's part of the shuffled global batches `start`, `start + 1`, ... of one epoch.

        Global batch t depends on (seed, epoch, batch_size) alone; shard r of W takes its rows [r*B//W,
        (r+1)*B//W). There are size // batch_size of them."""

    def scan(self, split: str, *, batch_size: int, shard: Shard = Shard()) -> Iterator[Batch]:
        """Every example exactly once over all shards, in the same number of steps on each; padding has weight
        0. Inputs may have an axis of clips behind the batch (see `lab.clips`)."""


@runtime_checkable
class Dataset(Protocol):
    """A data set and what is done to its examples, as a value. Where its bytes are is for `Settings`."""

    @property
    def name(self) -> str:
        """What `lab data prepare NAME` prepares."""

    @property
    def input_shape(self) -> Shape:
        """Per-example shape of `Batch.inputs`."""

    @property
    def num_classes(self) -> int:
        """Width of the targets."""

    @property
    def multi_label(self) -> bool:
        """Whether an example has any number of classes (`Tagging`), or one (`Classification`)."""

    def open(self, root: str) -> Source:
        """The prepared shards under `root`. Raises MissingDataset with the command that prepares them."""


@dataclass(frozen=True)
class Evaluation:
    """Which splits are measured `every` so often while training, and which only once `at_end`."""

    every: Duration = Epochs(1)
    splits: tuple[str, ...] = ("validation",)
    at_end: tuple[str, ...] = ()
    batch_size: int = 256

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise SpecError(f"Evaluation.batch_size must be 1 or more, got {self.batch_size}.")


@dataclass(frozen=True)
class ExperimentSpec:
    """Everything that decides a result, and nothing else: no name, no path, no number of workers."""

    model: Model
    data: Dataset
    task: Task = field(default_factory=Classification)
    optimizer: Optimizer = field(default_factory=Lamb)
    schedule: Schedule = field(default_factory=StepDecay)
    duration: Duration = Epochs(120)
    batch_size: int = 1024
    clip: float | None = None
    evaluation: Evaluation = field(default_factory=Evaluation)
    precision: Precision = "fp32"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise SpecError(f"batch_size must be 1 or more, got {self.batch_size}.")
        if self.clip is not None and not 0 < self.clip < math.inf:
            raise SpecError(f"clip is a gradient norm, greater than 0 and finite, or none; got {self.clip}.")
        if not 0 <= self.seed < 2**63:
            raise SpecError(f"seed must be from 0 to 2**63 - 1, got {self.seed}.")
        if self.model.input_shape != self.data.input_shape:
            raise SpecError(
                f"model takes inputs of shape {self.model.input_shape}, {self.data.name} gives "
                f"{self.data.input_shape}: set model.inputs to the data's shape."
            )
        if self.model.num_outputs != self.data.num_classes:
            raise SpecError(
                f"model has {self.model.num_outputs} outputs, {self.data.name} has {self.data.num_classes} "
                f"classes: set model.num_classes to {self.data.num_classes}."
            )
        if self.task.multi_label != self.data.multi_label:
            raise SpecError(
                f"an example of {self.data.name} has {_classes(self.data.multi_label)}, "
                f"{type(self.task).__name__} is for {_classes(self.task.multi_label)}: "
                f"set task=lab.{'Tagging' if self.data.multi_label else 'Classification'}()."
            )

    @cached_property
    def digest(self) -> str:
        """12 hex digits that name this work: sha256 of the canonical JSON. Asking twice finds the finished
        run."""
        return digest_of(codec.encode(self))

    def override(self, changes: Mapping[str, Any]) -> Self:
        """A copy with the fields at dotted paths replaced, built once. Raises SpecError."""
        return codec.override(self, changes)

    def to_json(self) -> str:
        return codec.canonical(self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        return codec.loads(cls, text)


def digest_of(encoded: Mapping[str, Any]) -> str:
    """The digest of a specification from its JSON data."""
    return hashlib.sha256(codec.text_of(encoded).encode()).hexdigest()[:12]


def _classes(multi_label: bool) -> str:
    return "any number of classes" if multi_label else "one class"


__all__ = [
    "Batch",
    "Dataset",
    "Duration",
    "Epochs",
    "Evaluation",
    "ExperimentSpec",
    "Model",
    "Shape",
    "Shard",
    "Source",
    "Steps",
]  # fmt: skip

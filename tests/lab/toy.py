"""The smallest model and data set that behave like real ones, for tests of the machinery around them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from lab import AdamW, Batch, Constant, Epochs, Evaluation, ExperimentSpec, Shard, Steps
from lab.errors import CorruptShard, MissingDataset, UnknownName
from lab.tracking.once import PACE
from lab.tracking.tracker import Scalar
from lab.train.loop import Event, Stepped

WHOLE = Shard()
SIZES = {"train": 70, "validation": 37, "test": 21}


@dataclass(frozen=True)
class ToyModel:
    """A few layers; the hidden one is used twice. Dropout and BatchNorm if asked for."""

    features: int = 6
    hidden: int = 8
    classes: int = 3
    dropout: float = 0.0
    batch_norm: bool = False

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.features,)

    @property
    def num_outputs(self) -> int:
        return self.classes

    def build(self) -> nn.Module:
        return ToyNetwork(self)

    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.build().parameters())

    def flops(self) -> int:
        return 2 * self.hidden * (self.features + 2 * self.hidden + self.classes)


class ToyNetwork(nn.Module):
    def __init__(self, config: ToyModel) -> None:
        super().__init__()
        self.latents = nn.Parameter(0.02 * torch.randn(config.hidden))
        self.embed = nn.Linear(config.features, config.hidden)
        self.norm = nn.LayerNorm(config.hidden)
        shared = nn.Linear(config.hidden, config.hidden)
        self.first, self.second = shared, shared
        self.batch_norm = nn.BatchNorm1d(config.hidden) if config.batch_norm else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden, config.classes)
        self.register_buffer("positions", torch.ones(config.hidden), persistent=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = self.norm(self.embed(inputs) + self.latents) * self.positions
        hidden = torch.relu(self.first(hidden))
        hidden = self.dropout(self.batch_norm(torch.relu(self.second(hidden))))
        return self.head(hidden)


@dataclass(frozen=True)
class ToyData:
    """Gaussian clusters, one per class; which ones, the number in the file `edition` under the root decides.
    `poison` makes every input of the training split infinite; `tags` gives examples any number of classes;
    the faults are those of real data: not prepared, and a corrupt shard that only the last of several workers
    reads."""

    features: int = 6
    classes: int = 3
    poison: bool = False
    fault: Literal["none", "missing", "corrupt"] = "none"
    tags: bool = False

    @property
    def name(self) -> str:
        return "toy"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.features,)

    @property
    def num_classes(self) -> int:
        return self.classes

    @property
    def multi_label(self) -> bool:
        return self.tags

    def open(self, root: str) -> ToySource:
        if self.fault == "missing":
            raise MissingDataset(f"data set 'toy' is not under {root}: run `lab data prepare toy`.")
        edition = Path(root, "edition")
        return ToySource(self, int(edition.read_text()) if edition.exists() else 0)


def prepare_toy(root: Path, edition: int) -> None:
    """Put other bytes under the same name."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "edition").write_text(str(edition))


class ToySource:
    def __init__(self, data: ToyData, edition: int = 0) -> None:
        self.data, self.edition = data, edition
        random = np.random.default_rng(edition)
        centres = random.normal(size=(data.classes, data.features))
        self.splits = {}
        for split, size in SIZES.items():
            targets = random.integers(data.classes, size=size)
            inputs = centres[targets] + 0.7 * random.normal(size=(size, data.features))
            if data.tags:
                targets = (random.random((size, data.classes)) < 0.4).astype(np.float32)
                inputs = targets @ centres + 0.7 * random.normal(size=(size, data.features))
            if data.poison and split == "train":
                inputs[:] = np.inf
            self.splits[split] = (torch.tensor(inputs, dtype=torch.float32), torch.tensor(targets))

    @property
    def fingerprint(self) -> str:
        return f"toy.{self.edition}" if self.edition else "toy"

    def size(self, split: str) -> int:
        if split not in self.splits:
            raise UnknownName.among("split", split, self.splits)
        return len(self.splits[split][0])

    def batches(
        self, split: str, *, batch_size: int, seed: int, epoch: int, start: int = 0, shard: Shard = WHOLE
    ) -> Iterator[Batch]:
        order = np.random.default_rng([seed, epoch]).permutation(self.size(split))
        low, high = (batch_size * rank // shard.world for rank in (shard.rank, shard.rank + 1))
        for step in range(start, len(order) // batch_size):
            if self.data.fault == "corrupt" and shard.rank == shard.world - 1:
                raise CorruptShard("toy/train-00003.parquet is not what was written: prepare it again.")
            rows = order[step * batch_size : (step + 1) * batch_size][low:high]
            yield self._batch(split, rows, len(rows))

    def scan(self, split: str, *, batch_size: int, shard: Shard = WHOLE) -> Iterator[Batch]:
        rows = np.arange(shard.rank, self.size(split), shard.world)
        longest = -(-self.size(split) // shard.world)
        for begin in range(0, longest, batch_size):
            yield self._batch(split, rows[begin : begin + batch_size], min(batch_size, longest - begin))

    def _batch(self, split: str, rows: np.ndarray, width: int) -> Batch:
        ids = torch.zeros(width, dtype=torch.int64)
        ids[: len(rows)] = torch.tensor(rows)
        weights = (torch.arange(width) < len(rows)).float()
        inputs, targets = self.splits[split]
        return Batch(inputs[ids], targets[ids], weights, ids)


def toy_spec(**changes: object) -> ExperimentSpec:
    """A run of 3 epochs of 7 steps of 10 examples, evaluated every epoch; `changes` replace its fields."""
    fields: dict[str, object] = {
        "model": ToyModel(),
        "data": ToyData(),
        "optimizer": AdamW(lr=0.01),
        "schedule": Constant(),
        "duration": Epochs(3),
        "batch_size": 10,
        "evaluation": Evaluation(every=Epochs(1), splits=("validation",), at_end=("test",), batch_size=8),
    }
    return ExperimentSpec(**(fields | changes))  # type: ignore[arg-type]


RICH = toy_spec(
    model=ToyModel(dropout=0.3, batch_norm=True),
    duration=Steps(240),
    evaluation=Evaluation(every=Steps(35), at_end=("test", "train")),
)
"""Everything that could make a resumed run differ: dropout, running statistics, half-finished means."""


class Ledger:
    """A sink that keeps one value per (metric, step), the first, as every record does."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, int], float] = {}
        self.waiting: list[Scalar] = []
        self.files: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.lock = threading.Lock()

    def log(self, scalars: Sequence[Scalar]) -> None:
        with self.lock:
            self.waiting += scalars

    def flush(self) -> None:
        with self.lock:
            for name, step, value in self.waiting:
                self.values.setdefault((name, step), value)
            self.waiting = []

    def keep(self, file: str, text: str, tags: Mapping[str, str]) -> None:
        self.files[file] = text
        self.tags |= tags

    def curve(self) -> dict[tuple[str, int], float]:
        return {key: value for key, value in self.values.items() if not key[0].startswith(PACE)}


class FileLedger(Ledger):
    """A ledger in a JSON file that every flushing process adds to; beside it, `.pid` names the last one."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = Path(path)

    def __reduce__(self) -> tuple[type[FileLedger], tuple[str]]:
        return FileLedger, (str(self.path),)

    def flush(self) -> None:
        self.values = self.read()
        super().flush()
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps([[*key, value] for key, value in self.values.items()]))
        beside.rename(self.path)
        self.path.with_suffix(".pid").write_text(str(os.getpid()))

    def read(self) -> dict[tuple[str, int], float]:
        if not self.path.exists():
            return {}
        return {(name, step): value for name, step, value in json.loads(self.path.read_text())}

    def curve(self) -> dict[tuple[str, int], float]:
        self.values = self.read()
        return super().curve()


def stop_after(step: int) -> dict[str, Any]:
    """should_stop and on_event that ask to stop once `step` steps are finished."""
    seen = [0]

    def watch(event: Event) -> None:
        if isinstance(event, Stepped):
            seen[0] = event.step

    return {"on_event": watch, "should_stop": lambda: seen[0] == step}

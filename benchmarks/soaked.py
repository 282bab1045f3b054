"""The sweep that `benchmarks.soak` kills again and again: many short trials, each a few seconds long.

    lab sweep ./benchmarks/soaked.py

SOAK_TRIALS (60) says how many there are, SOAK_PAUSE (0) how many seconds each step waits, and SOAK_LEAVE
names a file that somebody has to touch again and again for steps to be made: not part of an experiment, so
that an undisturbed sweep need not wait.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lab import Ablation, AdamW, Batch, Case, Constant, Evaluation, ExperimentSpec, Scale, Shard, Steps

STEPS, EVALUATE = 60, 20
LEAVE_SECONDS = 1.0
SEEDS = 4
ALONE = Shard()


@dataclass(frozen=True)
class Tiny:
    """One hidden layer, with dropout, so that a run that is continued wrongly differs."""

    features: int = 6
    hidden: int = 8
    classes: int = 3

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.features,)

    @property
    def num_outputs(self) -> int:
        return self.classes

    def build(self) -> nn.Module:
        return nn.Sequential(
            nn.Linear(self.features, self.hidden),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(self.hidden, self.classes),
        )

    def parameters(self) -> int:
        return sum(weight.numel() for weight in self.build().parameters())

    def flops(self) -> int:
        return 2 * self.hidden * (self.features + self.classes)


@dataclass(frozen=True)
class Clusters:
    """Points around one centre per class."""

    features: int = 6
    classes: int = 3
    examples: int = 120

    name = "clusters"
    multi_label = False
    fingerprint = "clusters"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.features,)

    @property
    def num_classes(self) -> int:
        return self.classes

    def open(self, root: str) -> Clusters:
        return self

    def size(self, split: str) -> int:
        return self.examples if split == "train" else self.examples // 2

    def batches(
        self, split: str, *, batch_size: int, seed: int, epoch: int, start: int = 0, shard: Shard = ALONE
    ) -> Iterator[Batch]:
        pause = float(os.environ.get("SOAK_PAUSE", "0"))
        order = torch.randperm(self.size(split), generator=torch.Generator().manual_seed(1000 * seed + epoch))
        for step in range(start, self.size(split) // batch_size):
            time.sleep(pause)
            await_leave()
            yield self._batch(split, order[step * batch_size : (step + 1) * batch_size])

    def scan(self, split: str, *, batch_size: int, shard: Shard = ALONE) -> Iterator[Batch]:
        for some in torch.arange(self.size(split)).split(batch_size):
            yield self._batch(split, some)

    def _batch(self, split: str, rows: Tensor) -> Batch:
        random = torch.Generator().manual_seed(7)
        centres = torch.randn(self.classes, self.features, generator=random)
        targets = torch.randint(self.classes, (self.examples,), generator=random)
        inputs = centres[targets] + 0.7 * torch.randn(self.examples, self.features, generator=random)
        if split != "train":
            inputs = inputs.flip(0)[: self.size(split)]
            targets = targets.flip(0)[: self.size(split)]
        return Batch(inputs[rows], targets[rows], torch.ones(len(rows)), rows)


def await_leave() -> None:
    """Wait until whoever kills has kept up."""
    leave = os.environ.get("SOAK_LEAVE")
    while leave and (not Path(leave).exists() or time.time() - Path(leave).stat().st_mtime > LEAVE_SECONDS):
        time.sleep(0.1)


def sweep(scale: Scale) -> Ablation:
    """Cases of SEEDS seeds each, the last one of what is left over."""
    trials = int(os.environ.get("SOAK_TRIALS", "60"))
    base = ExperimentSpec(
        model=Tiny(), data=Clusters(), optimizer=AdamW(lr=0.01), schedule=Constant(), duration=Steps(STEPS),
        batch_size=10, evaluation=Evaluation(every=Steps(EVALUATE), batch_size=60),
    )  # fmt: skip
    seeds = tuple(range(min(SEEDS, trials)))
    cases = [
        Case(f"{n + 2} hidden", base.override({"model.hidden": n + 2})) for n in range(trials // len(seeds))
    ]
    return Ablation("soaked", scale.name, tuple(cases), seeds=seeds)

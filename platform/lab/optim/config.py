"""Optimizers and schedules as values: what is written into a specification and its digest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from lab.durations import Duration, Epochs, Steps
from lab.errors import SpecError


def _positive(owner: str, **values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise SpecError(f"{owner}.{name} must be greater than 0 and finite, got {value}.")


def _not_negative(owner: str, **values: float) -> None:
    for name, value in values.items():
        if not 0 <= value < math.inf:
            raise SpecError(f"{owner}.{name} must be 0 or more and finite, got {value}.")


def _decay_rates(owner: str, **values: float) -> None:
    for name, value in values.items():
        if not 0 <= value < 1:
            raise SpecError(f"{owner}.{name} is a rate of decay and must be in [0, 1), got {value}.")


@dataclass(frozen=True)
class Lamb:
    """LAMB (You et al., 2020): Adam's direction plus decoupled weight decay, scaled per tensor by |w| /
    |update|.

    Weight decay excludes biases and everything in a LayerNorm (docs/paper.md section 3.2). The paper states
    the optimizer and its learning rate; betas, eps and weight decay are assumed (docs/paper.md section 7).
    """

    lr: float = 0.004
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-6
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _positive("Lamb", lr=self.lr, eps=self.eps)
        _decay_rates("Lamb", beta1=self.beta1, beta2=self.beta2)
        _not_negative("Lamb", weight_decay=self.weight_decay)


@dataclass(frozen=True)
class AdamW:
    """AdamW (Loshchilov & Hutter, 2019), with the same exclusions from weight decay as `Lamb`."""

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _positive("AdamW", lr=self.lr, eps=self.eps)
        _decay_rates("AdamW", beta1=self.beta1, beta2=self.beta2)
        _not_negative("AdamW", weight_decay=self.weight_decay)


@dataclass(frozen=True)
class Sgd:
    """Stochastic gradient descent with Nesterov momentum: what the paper found harder to tune than LAMB
    (§4.1)."""

    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _positive("Sgd", lr=self.lr)
        _decay_rates("Sgd", momentum=self.momentum)
        _not_negative("Sgd", weight_decay=self.weight_decay)


Optimizer = Lamb | AdamW | Sgd


@dataclass(frozen=True)
class Constant:
    """The learning rate as it is (ModelNet40, paper §4.3)."""


@dataclass(frozen=True)
class StepDecay:
    """The learning rate times `factor` from each milestone on (ImageNet: epochs 84, 102, 114; paper §4.1)."""

    milestones: tuple[Duration, ...] = (Epochs(84), Epochs(102), Epochs(114))
    factor: float = 0.1

    def __post_init__(self) -> None:
        _positive("StepDecay", factor=self.factor)
        if len({type(milestone) for milestone in self.milestones}) > 1:
            raise SpecError("StepDecay.milestones must be all Epochs or all Steps, got a mixture.")
        counts = [milestone.count for milestone in self.milestones]
        if counts != sorted(counts):
            raise SpecError(f"StepDecay.milestones must ascend, got {counts}.")


@dataclass(frozen=True)
class CosineAfter:
    """Constant for the first `flat` part of the run, then a half cosine to zero (Perceiver IO's recipe,
    flat=0.5)."""

    flat: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.flat < 1:
            raise SpecError(f"CosineAfter.flat is a part of the run and must be in [0, 1), got {self.flat}.")


Schedule = Constant | StepDecay | CosineAfter
Precision = Literal["fp32", "bf16"]

__all__ = [
    "AdamW",
    "Constant",
    "CosineAfter",
    "Lamb",
    "Optimizer",
    "Precision",
    "Schedule",
    "Sgd",
    "StepDecay",
    "Steps",
]

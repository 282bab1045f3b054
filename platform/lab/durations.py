"""Durations with their unit in the type: `Epochs(120)` and `Steps(50_000)` cannot be confused."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lab.errors import SpecError


@dataclass(frozen=True, order=True)
class Epochs:
    """A number of passes over the training split; fractions are allowed."""

    count: float

    def __post_init__(self) -> None:
        if not 0 < self.count < math.inf:
            raise SpecError(f"Epochs must be greater than 0 and finite, got {self.count}.")

    def in_steps(self, steps_per_epoch: int) -> int:
        """Optimizer steps, at least one."""
        return max(1, round(self.count * steps_per_epoch))

    def scaled(self, factor: float) -> Epochs:
        return Epochs(self.count * factor)


@dataclass(frozen=True, order=True)
class Steps:
    """A number of optimizer steps, whatever the size of the training split."""

    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise SpecError(f"Steps must be 1 or more, got {self.count}.")

    def in_steps(self, steps_per_epoch: int) -> int:
        """Optimizer steps; the size of the training split does not matter."""
        return self.count

    def scaled(self, factor: float) -> Steps:
        return Steps(max(1, round(self.count * factor)))


Duration = Epochs | Steps

"""When things happen in a run, as functions of the global step alone: the step is the only cursor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from lab.errors import SpecError
from lab.optim.schedules import factor
from lab.spec import ExperimentSpec, Source


@dataclass(frozen=True)
class Plan:
    """The calendar of a run. A step number n means: n steps are finished."""

    spec: ExperimentSpec
    steps_per_epoch: int

    @classmethod
    def of(cls, spec: ExperimentSpec, source: Source) -> Self:
        """Raises SpecError where an epoch would have no step, UnknownName for a split that is not there."""
        size = source.size("train")
        if spec.batch_size > size:
            raise SpecError(
                f"batch_size is {spec.batch_size}, but {spec.data.name} has {size} training examples: "
                f"use at most {size}."
            )
        for split in (*spec.evaluation.splits, *spec.evaluation.at_end):
            source.size(split)
        return cls(spec, size // spec.batch_size)

    @property
    def total_steps(self) -> int:
        return self.spec.duration.in_steps(self.steps_per_epoch)

    @property
    def log_every(self) -> int:
        """Steps between two points of the loss curve: about a hundred points, and never more than 50
        steps."""
        return min(50, max(1, self.total_steps // 100))

    def cursor(self, step: int) -> tuple[int, int]:
        """(epoch, step within it) of the batch that follows `step` finished ones."""
        return divmod(step, self.steps_per_epoch)

    def learning_rate(self, step: int) -> float:
        """Of the step that follows `step` finished ones."""
        return self.spec.optimizer.lr * factor(
            self.spec.schedule, step, total_steps=self.total_steps, steps_per_epoch=self.steps_per_epoch
        )

    def logs(self, step: int) -> bool:
        return step % self.log_every == 0 or step == self.total_steps

    def splits(self, step: int) -> tuple[str, ...]:
        """The splits that are measured after `step` steps."""
        evaluation = self.spec.evaluation
        if step == self.total_steps:
            return tuple(dict.fromkeys(evaluation.splits + evaluation.at_end))
        return evaluation.splits if step % evaluation.every.in_steps(self.steps_per_epoch) == 0 else ()

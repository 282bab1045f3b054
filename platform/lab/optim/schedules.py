"""Learning rate schedules as one pure function: nothing to save, nothing to restore."""

from __future__ import annotations

import math

from lab.optim.config import Constant, CosineAfter, Schedule, StepDecay


def factor(schedule: Schedule, step: int, *, total_steps: int, steps_per_epoch: int) -> float:
    """What the learning rate is multiplied by in the step that follows `step` finished ones."""
    match schedule:
        case Constant():
            return 1.0
        case StepDecay(milestones, decay):
            passed = sum(step >= milestone.in_steps(steps_per_epoch) for milestone in milestones)
            return float(decay**passed)
        case CosineAfter(flat):
            progress = (step / total_steps - flat) / (1 - flat)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, progress))))

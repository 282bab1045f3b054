"""Turns the events of a run into the scalars that are kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from torch import Tensor

from lab.tracking.tracker import Scalar
from lab.train.loop import Evaluated, Event, Stepped
from lab.train.plan import Plan


class Journal:
    """Metrics as they come up, and the last value of each.

    `train/loss` is the mean loss of the steps since the last point of the curve; `lr` and
    `examples_per_second` (evaluations and checkpoints not counted) stand beside it. `notes` carries a
    half-finished mean over an interruption, so that the curve is the same with and without it.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.metrics: dict[str, float] = {}
        self._loss: Tensor | float = 0.0
        self._steps = 0
        self._timed_steps, self._seconds, self._since = 0, 0.0, perf_counter()

    def notes(self) -> dict[str, Any]:
        """What to save: JSON."""
        return {"metrics": self.metrics, "loss": float(self._loss), "steps": self._steps}

    def restore(self, notes: Mapping[str, Any]) -> None:
        self.metrics, self._loss, self._steps = dict(notes["metrics"]), notes["loss"], notes["steps"]

    def enter(self, event: Event) -> list[Scalar]:
        """The scalars to record because of `event`."""
        values: dict[str, float] = {}
        match event:
            case Stepped(step, _, loss, learning_rate):
                self._loss, self._steps = self._loss + loss, self._steps + 1
                if self.plan.logs(step):
                    values["train/loss"] = float(self._loss) / self._steps
                    values["lr"] = learning_rate
                self._tick()
                if values:
                    values["examples_per_second"] = self._rate()
                    self._loss, self._steps = 0.0, 0
            case Evaluated(_, metrics):
                values.update(metrics)
        if not isinstance(event, Stepped):
            self._since = perf_counter()
        self.metrics |= values
        return [Scalar(name, event.step, value) for name, value in values.items()]

    def _tick(self) -> None:
        now = perf_counter()
        self._seconds, self._since, self._timed_steps = (
            self._seconds + now - self._since,
            now,
            self._timed_steps + 1,
        )

    def _rate(self) -> float:
        rate = self._timed_steps * self.plan.spec.batch_size / max(self._seconds, 1e-9)
        self._timed_steps, self._seconds = 0, 0.0
        return rate

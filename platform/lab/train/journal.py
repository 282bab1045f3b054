"""Turns the events of a run into the scalars that are kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lab.tracking.tracker import Scalar
from lab.train.chain import CURVE, LOSS, WEIGHTS, Chain
from lab.train.loop import Evaluated, Event, Stepped
from lab.train.pace import Pace
from lab.train.plan import Plan


class Journal:
    """Metrics as they come up, the last value of each, and the chain over them.

    `train/loss` is the mean loss of the steps since the last point of the curve; `lr` and the pace stand
    beside it. `notes` carries a half-finished mean over an interruption, so that the curve is the same
    with and without it.
    """

    def __init__(self, plan: Plan, fingerprint: str) -> None:
        """fingerprint: of the data."""
        self.plan = plan
        self.chain = Chain(plan.spec.digest, fingerprint)
        self.metrics: dict[str, float] = {}
        self._loss: Tensor | float = 0.0
        self._steps = 0
        self._pace = Pace(plan.spec)

    def notes(self) -> dict[str, Any]:
        """What to save: JSON."""
        return {
            "metrics": dict(self.metrics),
            "loss": float(self._loss),
            "steps": self._steps,
            "chain": self.chain.notes(),
        }

    def restore(self, notes: Mapping[str, Any]) -> None:
        self.metrics, self._loss, self._steps = dict(notes["metrics"]), notes["loss"], notes["steps"]
        self.chain.restore(notes.get("chain", ()))

    def weigh(self, step: int, weights: str) -> None:
        """Add the sha256 of the weights that were evaluated after `step` steps to the chain."""
        self.chain.add(step, self.plan.cursor(step), WEIGHTS, weights)

    def enter(self, event: Event) -> list[Scalar]:
        """The scalars to record because of `event`."""
        values: dict[str, float] = {}
        match event:
            case Stepped(step, _, loss, learning_rate):
                self._pace.enter(event)
                self._loss, self._steps = self._loss + loss, self._steps + 1
                if self.plan.logs(step):
                    values[CURVE] = float(self._loss) / self._steps
                    self.chain.add(step, self.plan.cursor(step), LOSS, values[CURVE])
                    values["lr"] = learning_rate
                    values |= self._pace.values()
                    self._loss, self._steps = 0.0, 0
            case Evaluated(step, metrics):
                values.update(metrics)
                for name, value in sorted(metrics.items()):
                    self.chain.add(step, self.plan.cursor(step), name, value)
        if not isinstance(event, Stepped):
            self._pace.pause()
        self.metrics |= values
        return [Scalar(name, event.step, value) for name, value in values.items()]

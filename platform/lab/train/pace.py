"""How fast a run goes and what it spends its time on: values that differ from machine to machine.

pace/examples_per_second     of all workers, evaluations and checkpoints not counted
pace/step_seconds            of which the shares
pace/data_share                  waiting for the next batch
pace/communication_share         exchanging gradients while nothing is computed (several workers)
pace/flops_per_second        of all workers: three times the forward operations the model counts, for
                             forward and backward; what a checkpointed model computes again is no gain
pace/peak_memory_bytes       of this worker: of its GPU, else of its process
"""

from __future__ import annotations

import resource
from time import perf_counter

import torch

from lab.spec import ExperimentSpec
from lab.tracking.once import PACE
from lab.train.loop import Stepped

FORWARD_AND_BACKWARD = 3


class Pace:
    """The clock of a run. Steps are entered as they come; `pause` forgets the time since the last one."""

    def __init__(self, spec: ExperimentSpec) -> None:
        self.examples, self.operations = spec.batch_size, FORWARD_AND_BACKWARD * spec.model.flops()
        self._begin()

    def _begin(self) -> None:
        self.steps, self.seconds, self.waited, self.talked = 0, 0.0, 0.0, 0.0
        self.pause()

    def pause(self) -> None:
        self.since = perf_counter()

    def enter(self, step: Stepped) -> None:
        now = perf_counter()
        self.steps, self.seconds, self.since = self.steps + 1, self.seconds + now - self.since, now
        self.waited, self.talked = self.waited + step.waited, self.talked + step.talked

    def values(self) -> dict[str, float]:
        """The means since the last time this was asked."""
        seconds = max(self.seconds, 1e-9)
        rate = self.steps * self.examples / seconds
        found = {
            "examples_per_second": rate,
            "step_seconds": seconds / self.steps,
            "data_share": min(1.0, self.waited / seconds),
            "communication_share": min(1.0, self.talked / seconds),
            "flops_per_second": rate * self.operations,
            "peak_memory_bytes": peak_memory(),
        }
        self._begin()
        return {PACE + name: value for name, value in found.items()}


def peak_memory() -> float:
    """Bytes since this process began, of its GPU if it uses one. Linux counts a process in kilobytes."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return float(torch.cuda.max_memory_allocated())
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)

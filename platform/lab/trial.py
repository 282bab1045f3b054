"""One trial of a sweep, in the process it was given: the same training code for one worker and for many."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lab.errors import Interrupted, LabError, OutOfMemory
from lab.resources import Resources
from lab.settings import Settings
from lab.spec import ExperimentSpec
from lab.tracking.sink import Sink
from lab.tracking.tracker import Status

EVALUATION = "evaluation"
"""the absolute number of an evaluation of a run: it goes on counting when the run is continued"""

Report = Callable[[dict[str, Any]], object]
"""tells a scheduler of an evaluation; raises SystemExit where it ends the trial"""


class StoppableSink(Sink, Protocol):
    """A sink that also brings the wish to stop."""

    def should_stop(self) -> bool: ...


@dataclass(frozen=True, repr=False)
class Work:
    """What a trial is told. objective: reported after each evaluation where a scheduler wants to know ·
    spared: only at its end, so that no scheduler ends it before"""

    spec: ExperimentSpec
    sink: StoppableSink
    resources: Resources
    settings: Settings
    objective: str | None
    spared: bool = False

    def __repr__(self) -> str:  # names are made of this
        return self.spec.digest

    def __deepcopy__(self, memo: dict[int, Any]) -> Work:
        return self  # frozen, and copied several times on its way


def run(work: Work, report: Report) -> dict[str, Any]:
    """One experiment, to its end or until it is asked to stop. Raises nothing of its own faults, so that the
    process serves the next trial too; SystemExit where the scheduler has ended the trial and listens no
    more."""
    reporter = Reporter(work, report)
    metrics: dict[str, float] = {}
    result: dict[str, Any]
    try:
        metrics = _train(work, reporter)
        result = {"outcome": Status.COMPLETE.value}
    except Interrupted as stop:
        result = {"outcome": Status.STOPPED.value, "reason": str(stop)}
    except LabError as fault:
        starved = isinstance(fault, OutOfMemory)
        result = {"outcome": Status.FAILED.value, "reason": str(fault), "starved": starved}
    except Exception as fault:  # a model may raise anything, and no run may sink the sweep
        reason = f"{type(fault).__name__}: {fault}".splitlines()[0]
        result = {
            "outcome": Status.FAILED.value,
            "reason": reason,
            "traceback": traceback.format_exc()[-4000:],
        }
    if reporter.pruned:
        raise SystemExit(0)
    return result | reporter.final(metrics)


def _train(work: Work, reporter: Reporter) -> dict[str, float]:
    """One worker trains in this process; several in a worker group of their own."""
    if work.resources.several:
        from lab.train.distributed import launch
        from lab.train.loop import Evaluated, Heard

        def heard(event: Heard) -> None:
            if isinstance(event, Evaluated):
                reporter.evaluated(event.step, event.metrics)

        return launch(
            work.spec,
            work.resources,
            work.settings,
            work.sink,
            on_event=heard,
            should_stop=reporter.should_stop,
        )
    from torch import set_num_threads

    from lab.train.group import Group
    from lab.train.run import train

    set_num_threads(max(1, int(work.resources.cpus)))
    return train(
        work.spec,
        data_root=work.settings.data,
        storage=work.settings.storage,
        sink=work.sink,
        group=Group.alone(gpus=work.resources.gpus),
        on_evaluated=reporter.evaluated,
        should_stop=reporter.should_stop,
        execution=work.resources.execution,
        retention=work.settings.retention,
    )


class Reporter:
    """Tells the scheduler about evaluations, and the training what it decides."""

    def __init__(self, work: Work, report: Report) -> None:
        self.work, self.report = work, report
        self.pruned = False
        self._calendar: tuple[int, int] | None = None

    def evaluated(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Whether to go on. The end of a run is not reported here: nothing is left to decide."""
        value = metrics.get(self.work.objective or "")
        if value is None or self.pruned or self.work.spared or step >= self.calendar[1]:
            return not self.pruned
        self.work.sink.flush()  # what a decision rests on is on record before it
        try:
            self.report({EVALUATION: self._number(step), str(self.work.objective): value})
        except SystemExit:
            self.pruned = True
        return not self.pruned

    def should_stop(self) -> bool:
        return self.pruned or self.work.sink.should_stop()

    def final(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """What the scheduler learns from a run that reached its end."""
        if self.work.objective is None or self.work.objective not in metrics:
            return {}
        return {EVALUATION: self._number(self.calendar[1]), self.work.objective: metrics[self.work.objective]}

    @property
    def calendar(self) -> tuple[int, int]:
        """(steps between two evaluations, steps in all)."""
        if self._calendar is None:
            from lab.train.plan import Plan

            spec = self.work.spec
            plan = Plan.of(spec, spec.data.open(self.work.settings.data))
            self._calendar = spec.evaluation.every.in_steps(plan.steps_per_epoch), plan.total_steps
        return self._calendar

    def _number(self, step: int) -> int:
        return -(-step // self.calendar[0])

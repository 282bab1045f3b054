"""Trains one experiment on a Ray Train worker group: the only door to Ray Train.

The driver and the workers speak through a `Relay`, a small actor on the driver's node: events and refusals go
up, the wish to stop goes down. The relay also waits for Ray Train: in a driver's main thread its `fit` takes
over Ctrl-C, and left behind in another thread it may crash Ray. All that a run has in Ray ends with its
relay. Ray restarts a group that lost a worker; the new one continues from the run's own checkpoint, which is
found by digest, so nothing depends on what Ray remembers. A worker that hangs is noticed in two ways: the
others wait for it in a collective, and Ray asks each whether it is alive; both lose patience after
`Settings.patience`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil
from time import monotonic
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lab.errors import (
    DataChanged,
    Diverged,
    Interrupted,
    LabError,
    MissingDataset,
    OutOfMemory,
    RunError,
    SpecError,
)
from lab.execution import Execution
from lab.resources import Resources
from lab.retention import Retention
from lab.settings import Settings
from lab.spec import ExperimentSpec
from lab.storage import within
from lab.tracking.sink import Sink
from lab.train.group import Group
from lab.train.loop import Event, Heard, Lost, Saved, Stepped
from lab.train.memory import ADVICE
from lab.train.run import train

RESTARTS = 3
"""of a group without a step saved in between; saved or not, of one that Ray ends to keep its node alive"""
POLL_SECONDS = 0.25
PREEMPTION_POLL_SECONDS = 1.0
"""between two looks at which nodes are to be taken away"""
LAST_CHECKPOINT_SECONDS = 30
"""how long a driver that must go waits for its workers' last checkpoint"""
ELASTIC_START_SECONDS = 20
"""how long an elastic group waits for workers it was promised before it looks for what there is instead"""
ELASTIC_LOOK_SECONDS = 30
"""how often an elastic group looks whether there is room for more workers; taking it costs a restart"""
MEMORY_KILL = "its machine was running low on memory"
COMMON_ERRORS = (SpecError, MissingDataset, DataChanged, Diverged, Interrupted)
"""what all workers meet after the same step"""


@dataclass(frozen=True)
class Assignment:
    """What every worker of a group is told."""

    spec: ExperimentSpec
    data: str
    storage: str
    threads: int
    sink: Sink
    relay: Any
    checkpoint_every: float
    execution: Execution
    retention: Retention


class Relay:
    """Between a driver and its workers, as an actor. It outlives workers, not the driver; they do not outlive
    it."""

    def __init__(self) -> None:
        self.events: list[Heard] = []
        self.stopping = self.arrived = False
        self.error: LabError | None = None
        self.losses = self.memory_losses = 0

    def fit(
        self, assignment: Assignment, resources: Resources, patience: float
    ) -> dict[str, float] | LabError:
        """Wait for Ray Train; the last value of every metric, or what ended the run."""
        elastic = resources.fewest < resources.workers
        _tell_controller(patience, elastic)
        return _outcome(_trainer(assignment, resources, patience, elastic))

    def tell(self, event: Heard) -> bool:
        """Take an event from the leading worker; whether it should stop."""
        self.events.append(event)
        if isinstance(event, Saved):
            self.losses = 0
        return self.stopping

    def hear(self) -> list[Heard]:
        """The events since the last time."""
        heard, self.events = self.events, []
        return heard

    def lose(self, cause: str) -> LabError | None:
        """Take what befell the workers; why they are not to be started again, if so."""
        self.arrived = False
        if self.error is None:
            self.events.append(Lost(cause))
            self.losses += 1
            self.memory_losses += MEMORY_KILL in cause
            if max(self.losses, self.memory_losses) > RESTARTS:
                self.error = verdict(cause)
        return self.error

    def stop(self) -> bool:
        """Ask the workers to stop; whether there are any yet."""
        self.stopping = True
        return self.arrived

    def refuse(self, error: LabError) -> None:
        """Keep the first error a worker met, so that no restarted group tries again what cannot succeed."""
        self.error = self.error or error

    def refusal(self) -> LabError | None:
        """What a worker asks when it has its place."""
        self.arrived = True
        return self.error


def launch(
    spec: ExperimentSpec,
    resources: Resources,
    settings: Settings,
    sink: Sink,
    *,
    on_event: Callable[[Heard], object] = lambda event: None,
    on_tick: Callable[[], object] = lambda: None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint_every: float = 5.0,
) -> dict[str, float]:
    """Train `spec` on `resources.workers` processes of the Ray this process is connected to, and return the
    last value of every metric.

    sink: goes to rank 0, so it must pickle. on_event: sees events here in the driver, of steps a few per
    second, and `Lost` when a group has failed. on_tick: called here a few times per second, whether anything
    happens or not. should_stop: asked as often; the group then writes a checkpoint and Interrupted is raised.

    Raises what `train` raises, whichever worker it was raised in; OutOfMemory if Ray ended its workers more
    than three times to keep their node alive; and RunError if the group failed more than three times in a row
    without a step saved in between.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(concurrency_groups={"fit": 1})(Relay)
    relay = actor.options(num_cpus=0, scheduling_strategy=here).remote()
    assignment = Assignment(
        spec=spec,
        data=settings.data,
        storage=settings.storage,
        threads=max(1, int(resources.cpus)),
        sink=sink,
        relay=relay,
        checkpoint_every=checkpoint_every,
        execution=resources.execution,
        retention=settings.retention,
    )
    fit = relay.fit.options(concurrency_group="fit").remote(assignment, resources, settings.patience)
    try:
        ended = False
        while not ended:
            ended = bool(ray.wait([fit], timeout=POLL_SECONDS)[0])
            for event in ray.get(relay.hear.remote()):
                on_event(event)
            on_tick()
            if should_stop() and not ray.get(relay.stop.remote()):
                raise Interrupted("stopped before its workers had a place.")
        outcome: dict[str, float] | LabError = ray.get(fit)
    except KeyboardInterrupt:  # the second Ctrl-C: no patience is left
        raise
    except BaseException:
        if ray.get(relay.stop.remote()):
            ray.wait([fit], timeout=LAST_CHECKPOINT_SECONDS)
        raise
    finally:
        ray.kill(relay)
    if isinstance(outcome, LabError):
        raise outcome
    return outcome


def _trainer(
    assignment: Assignment, resources: Resources, patience: float, elastic: bool
) -> ray.train.torch.TorchTrainer:
    """The same name and place for the same experiment, so that what Ray leaves on disk does not pile up."""
    gpus = {"GPU": resources.gpus} if resources.gpus else {}
    return ray.train.torch.TorchTrainer(
        work,
        train_loop_config={"assignment": assignment},
        torch_config=ray.train.torch.TorchConfig(
            backend="nccl" if gpus else "gloo", timeout_s=ceil(patience)
        ),
        scaling_config=ray.train.ScalingConfig(
            num_workers=(resources.fewest, resources.workers) if elastic else resources.workers,
            use_gpu=bool(gpus),
            resources_per_worker={"CPU": resources.cpus, **gpus},
            elastic_resize_monitor_interval_s=ELASTIC_LOOK_SECONDS,
        ),
        run_config=ray.train.RunConfig(
            name=assignment.spec.digest,
            storage_path=within(assignment.storage, "ray"),
            failure_config=ray.train.FailureConfig(max_failures=-1),  # `Losses` ends what is hopeless
            callbacks=[Losses(assignment.relay)],
        ),
    )


def _tell_controller(patience: float, elastic: bool) -> None:
    """Ray Train hands these variables of the process that waits for it on to its controller."""
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", str(POLL_SECONDS))
    os.environ.setdefault("RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S", str(PREEMPTION_POLL_SECONDS))
    os.environ["RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S"] = str(patience)
    if elastic:
        os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(ELASTIC_START_SECONDS)
    else:
        os.environ.pop("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", None)


class Losses(ray.train.UserCallback):  # type: ignore[misc]
    """Tells the driver why a group has to be started again, and ends the run where that has no hope. Lives in
    Ray's controller, which gives up if this raises."""

    def __init__(self, relay: Any) -> None:
        self.relay = relay

    def after_exception(self, run_context: Any, worker_exceptions: Mapping[int, Exception]) -> None:
        given_up = ray.get(self.relay.lose.remote(cause(worker_exceptions)))
        if given_up is not None:
            raise given_up


def cause(failures: Mapping[int, Exception]) -> str:
    """One line for what befell the workers of a group: those that died or were silent speak before those that
    only lost their company."""
    faults = {rank: getattr(fault, "health_check_failure", fault) for rank, fault in failures.items()}
    for rank, fault in sorted(faults.items()):
        if isinstance(fault, ray.exceptions.OutOfMemoryError):
            return f"worker {rank} was ended by Ray: {MEMORY_KILL}"
        if isinstance(fault, ray.exceptions.RayActorError):
            return f"worker {rank} died"
        if type(fault).__name__ == "WorkerHealthCheckTimeoutError":
            return f"worker {rank} did not answer for longer than the patience"
    rank, fault = min(faults.items())
    return f"worker {rank}: {str(fault).strip().splitlines()[-1]}"


def _outcome(trainer: ray.train.torch.TorchTrainer) -> dict[str, float] | LabError:
    """What the leading worker returned, or what the run was given up for."""
    try:
        outcome: dict[str, float] | LabError = trainer.fit().return_value
    except ray.train.TrainingFailedError as fault:
        given_up = getattr(fault, "controller_failure", None)
        if isinstance(given_up, LabError):
            return given_up
        return RunError(f"Ray Train ended: {str(fault).strip().splitlines()[-1]}.")
    return outcome


def verdict(reason: str) -> RunError:
    """What a run is told whose workers are not started again."""
    if MEMORY_KILL in reason:
        return OutOfMemory(
            f"the workers were lost {RESTARTS + 1} times, the last time because {reason}; {ADVICE}."
        )
    return RunError(
        f"the workers were lost {RESTARTS + 1} times without a step saved in between, the last time because "
        f"{reason}."
    )


def work(config: dict[str, Any]) -> dict[str, float] | LabError:
    """What each worker runs. An error that a restart cannot mend is returned, not raised: Ray restarts on any
    raise.

    Where only some of the workers met it, they do raise, to free the others from waiting; the restarted group
    is then told at once.
    """
    assignment: Assignment = config["assignment"]
    refusal: LabError | None = ray.get(assignment.relay.refusal.remote())
    if refusal is not None:
        return refusal
    torch.set_num_threads(assignment.threads)
    context = ray.train.get_context()
    group = Group(context.get_world_rank(), context.get_world_size(), ray.train.torch.get_device())
    courier = Courier(assignment.relay)
    try:
        return train(
            assignment.spec,
            data_root=assignment.data,
            storage=assignment.storage,
            sink=assignment.sink,
            group=group,
            on_event=courier.carry if group.leads else lambda event: None,
            should_stop=courier.should_stop,
            leaving=_leaving,
            checkpoint_every=assignment.checkpoint_every,
            execution=assignment.execution,
            retention=assignment.retention,
        )
    except COMMON_ERRORS as error:
        return error
    except LabError as error:
        ray.get(assignment.relay.refuse.remote(error))
        raise


class Courier:
    """Carries events to the relay without waiting for it, and brings back whether to stop."""

    def __init__(self, relay: Any) -> None:
        self.relay, self.stopping = relay, False
        self._answer: Any = None
        self._sent = 0.0

    def carry(self, event: Event) -> None:
        """Steps are sent a few times per second, everything else always."""
        now = monotonic()
        if isinstance(event, Stepped):
            if now - self._sent < POLL_SECONDS and event.step < event.total:
                return
            event = replace(event, loss=event.loss.cpu())
        self._sent = now
        self._answer = self.relay.tell.remote(event)

    def should_stop(self) -> bool:
        if self._answer is not None and ray.wait([self._answer], timeout=0)[0]:
            self.stopping = self.stopping or ray.get(self._answer)
            self._answer = None
        return self.stopping


def _leaving() -> bool:
    """Whether Ray has drained a node of this group. A collective of Ray Train."""
    return ray.train.get_preemption_info() is not None

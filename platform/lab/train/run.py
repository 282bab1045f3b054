"""Runs an experiment from wherever it stands to its end: what every process that trains calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic

from lab.errors import DataChanged, Interrupted
from lab.execution import Execution
from lab.origin import FINGERPRINT
from lab.spec import ExperimentSpec
from lab.tracking.sink import Sink
from lab.train.checkpoint import Checkpoint, CheckpointStore
from lab.train.group import Group
from lab.train.journal import Journal
from lab.train.loop import LOOK_EVERY, Evaluated, Event, Resumed, events, require_finite
from lab.train.plan import Plan
from lab.train.state import Training

SAVING_SHARE = 1 / 30
"""at most this part of a run's time goes into checkpoints"""


def train(
    spec: ExperimentSpec,
    *,
    data_root: str,
    storage: str,
    sink: Sink,
    group: Group = Group(),  # noqa: B008 (frozen)
    on_event: Callable[[Event], object] = lambda event: None,
    on_evaluated: Callable[[int, Mapping[str, float]], bool | None] = lambda step, metrics: None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint_every: float = 5.0,
    execution: Execution = Execution(),  # noqa: B008 (frozen)
) -> dict[str, float]:
    """Train `spec` to its end and return the last value of every metric.

    Continues from the newest sound checkpoint of the digest under `storage`; at the end it only measures
    again. Rank 0 writes checkpoints and sends scalars to `sink`, which is flushed before each checkpoint:
    what is in a checkpoint is in the record.

    on_event: sees every event, on every rank. on_evaluated(step, metrics): False ends the run here, with a
    checkpoint and its metrics so far; all ranks must pass one or none. should_stop: asked after every step,
    here a checkpoint is written and Interrupted raised. checkpoint_every: seconds, at least, between two
    checkpoints; longer where they are costly, 0 for every step. execution: how the steps are carried out.

    Raises SpecError, MissingDataset, CorruptShard, DataChanged where the checkpoint was made from other data,
    CheckpointError, Diverged, Interrupted.
    """
    source = spec.data.open(data_root)
    plan, shards = Plan.of(spec, source), group.world if execution.sharded else 1
    training, journal = Training.begin(spec, group.device, shards=shards), Journal(plan)
    keeper = Keeper(
        CheckpointStore(storage, spec.digest),
        training,
        journal,
        sink,
        group,
        should_stop,
        checkpoint_every,
        source.fingerprint,
    )
    if keeper.resume():
        on_event(Resumed(training.step))
    for event in events(training, plan, source, group, keeper, execution=execution):
        scalars = journal.enter(event)
        if scalars and group.leads:
            sink.log(scalars)
        on_event(event)
        if isinstance(event, Evaluated) and group.anyone(on_evaluated(event.step, event.metrics) is False):
            keeper.write()
            break
    if group.leads:
        sink.flush()
    return journal.metrics


@dataclass
class Keeper:
    """Decides when a run is written down, and does it. Called after every step; says whether it wrote."""

    store: CheckpointStore
    training: Training
    journal: Journal
    sink: Sink
    group: Group
    should_stop: Callable[[], bool]
    every: float
    """seconds"""
    fingerprint: str
    """of the data that is trained on"""

    def __post_init__(self) -> None:
        self.pause, self.last = self.every, monotonic()

    def resume(self) -> bool:
        """Put the training where the newest sound checkpoint was; rank 0 says which one that is."""
        found = self.store.latest() if self.group.leads else None
        step = self.group.leader_says(found.step if found else -1)
        if step < 0:
            return False
        checkpoint = found or self.store.load(step)
        self._require_same_data(checkpoint)
        self.training.restore(checkpoint)
        self.journal.restore(checkpoint.notes)
        return True

    def __call__(self, step: int) -> bool:
        total = self.journal.plan.total_steps
        stopping = step < total and self._asked_to_stop(step)
        if not (stopping or step == total or self._due(step)):
            return False
        self.write()
        if stopping:
            raise Interrupted(f"stopped after step {step} of {total}; the same command continues from there.")
        return self.group.leads

    def write(self) -> None:
        """Save now. The pause until the next time grows with what this costs."""
        if not (self.group.leads or self.training.sharded):
            return
        begun = monotonic()
        notes = self.journal.notes() | {FINGERPRINT: self.fingerprint}
        require_finite(notes["loss"], self.training.step, self.journal.plan.spec)
        checkpoint = self.training.capture(notes)
        if self.group.leads:
            self.sink.flush()
            self.store.save(checkpoint)
        self.last = monotonic()
        self.pause = max(self.every, (self.last - begun) / SAVING_SHARE) if self.every else 0.0

    def _due(self, step: int) -> bool:
        """By rank 0's clock, where all take part."""
        due = monotonic() - self.last >= self.pause
        if not self.training.sharded:
            return due
        return self._looks(step) and self.group.anyone(due and self.group.leads)

    def _require_same_data(self, checkpoint: Checkpoint) -> None:
        before = checkpoint.notes.get(FINGERPRINT, self.fingerprint)
        if before != self.fingerprint:
            raise DataChanged(
                f"the checkpoint of step {checkpoint.step} under {self.store.folder} was made from data "
                f"{before}, but there is {self.fingerprint} now: prepare the old data again or set LAB_DATA "
                "to where it is, or begin anew with another LAB_HOME."
            )

    def _asked_to_stop(self, step: int) -> bool:
        """Together, so that all stop after the same step; not every time where asking stalls the device."""
        return self._looks(step) and self.group.anyone(self.should_stop())

    def _looks(self, step: int) -> bool:
        return self.group.device.type == "cpu" or step % LOOK_EVERY == 0

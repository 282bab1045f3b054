"""Runs an experiment from wherever it stands to its end: what every process that trains calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing

from lab.execution import Execution
from lab.retention import Retention
from lab.spec import ExperimentSpec
from lab.tracking.sink import Sink
from lab.train.checkpoint import CheckpointStore
from lab.train.group import Group
from lab.train.journal import Journal
from lab.train.keeper import Keeper
from lab.train.loop import Evaluated, Event, Resumed, events
from lab.train.memory import one_verdict
from lab.train.plan import Plan
from lab.train.sights import FILE, sights_or_none
from lab.train.state import Training


@one_verdict()
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
    leaving: Callable[[], bool] = lambda: False,
    checkpoint_every: float = 5.0,
    execution: Execution = Execution(),  # noqa: B008 (frozen)
    retention: Retention = Retention(),  # noqa: B008 (frozen)
) -> dict[str, float]:
    """Train `spec` to its end and return the last value of every metric.

    Continues from the newest sound checkpoint of the digest under `storage`; at the end it only measures
    again. Rank 0 writes checkpoints and sends scalars to `sink`, which is flushed before each checkpoint:
    what is in a checkpoint is in the record; at the end it keeps a drawing there of where the model looks, of
    one that can say.

    on_event: sees every event, on every rank. on_evaluated(step, metrics): False ends the run here, with a
    checkpoint and its metrics so far; all ranks must pass one or none. should_stop: asked after every step,
    here a checkpoint is written and Interrupted raised. leaving: asked about once a second, by all ranks
    after the same step; from yes on, since a machine of the group is to be taken away, every step is saved.
    checkpoint_every: seconds, at least, between two checkpoints; longer where they are costly, 0 for every
    step. execution: how the steps are carried out. retention: which checkpoints are kept.

    Raises SpecError, MissingDataset, CorruptShard, DataChanged where the checkpoint was made from other data,
    CheckpointError, Diverged, OutOfMemory, Interrupted.
    """
    source = spec.data.open(data_root)
    plan, shards = Plan.of(spec, source), group.world if execution.sharded else 1
    milestone = retention.every.in_steps(plan.steps_per_epoch) if retention.every else None
    store = CheckpointStore(storage, spec.digest, retention, milestone)
    training, journal = Training.begin(spec, group.device, shards=shards), Journal(plan, source.fingerprint)
    keeper = Keeper(store, training, journal, sink, group, should_stop, checkpoint_every, leaving)
    with closing(keeper.writer):
        if keeper.resume():
            on_event(Resumed(training.step))
        for event in events(training, plan, source, group, keeper, asks=keeper.asks, execution=execution):
            if isinstance(event, Evaluated) and (group.leads or training.sharded):
                journal.weigh(event.step, training.weights_sha256())
            scalars = journal.enter(event)
            if scalars and group.leads:
                sink.log(scalars)
            on_event(event)
            if isinstance(event, Evaluated) and group.anyone(
                on_evaluated(event.step, event.metrics) is False
            ):
                keeper.finish()
                break
        else:
            if group.leads and not training.sharded:  # spread over workers it would take all of them
                drawing = sights_or_none(spec, training.model, source)
                if drawing:
                    sink.keep(FILE, drawing, {})
        if group.leads:
            sink.flush()
    return journal.metrics

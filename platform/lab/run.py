"""Runs one experiment, or what is missing of a sweep. Identity is by digest; repeating the command is the
resume."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial

from lab.agenda import AblationAgenda, Agenda
from lab.budget import Purse, spent_all
from lab.drive import Drive, Say
from lab.errors import Interrupted, RecordError, RunError, RunTaken, TrackingUnreachable
from lab.origin import origin, require_same_data
from lab.quantity import quantity
from lab.resources import Resources
from lab.search.agenda import SearchAgenda
from lab.settings import Settings
from lab.spec import ExperimentSpec
from lab.sweep import Search, Sweep
from lab.tracking.lease import this_process
from lab.tracking.mlflow import MlflowTracker
from lab.tracking.patience import Patience, patient
from lab.tracking.tracker import RunRecord, Status, Tracker
from lab.train.stop import StopRequest


def run_one(
    spec: ExperimentSpec,
    *,
    name: str,
    scale: str,
    resources: Resources,
    settings: Settings,
    tracker: Tracker,
) -> RunRecord:
    """Train one experiment on a Ray Train worker group, or return its finished run.

    Raises what `lab.train.distributed.launch` raises, after the run was closed as failed or stopped;
    DataChanged where the run on record, finished or not, was made from other data than are prepared now;
    CheckpointError, with nothing begun, where there is no place for checkpoints; and RunTaken.
    """
    from lab import cluster
    from lab.train.distributed import launch
    from lab.train.progress import ProgressLine

    _prepare(resources, settings, tracker)
    if (known := tracker.find([spec.digest]).get(spec.digest)) is not None:
        require_same_data(known, spec, settings)
    if known is None or known.status is not Status.COMPLETE:
        _require_place(spec, settings)
    run = tracker.begin(spec, name=name, owner=this_process(), tags=origin(spec, settings) | {"scale": scale})
    if run.status is Status.COMPLETE:
        return run
    with (
        _closed_as(tracker, run, settings.patience),
        StopRequest() as stop,
        cluster.connected(settings, resources, groups=True),
    ):
        recorder = cluster.recorder(partial(MlflowTracker, settings), settings)
        recorder.hold(run.run_id)
        line = ProgressLine(name, spec.batch_size)
        try:
            launch(
                spec, resources, settings, recorder.sink(run.run_id),
                on_event=line, on_tick=lambda: line.tick(stop.asked), should_stop=stop,
            )  # fmt: skip
        finally:
            line.close()
            Patience(settings.patience).with_call(partial(recorder.release, run.run_id))
    return patient(tracker, settings.patience).find([spec.digest])[spec.digest]


def run_sweep(
    sweep: Sweep,
    *,
    resources: Resources,
    settings: Settings,
    tracker: Tracker,
    progress: Say = print,
    watch: Callable[[Drive], object] = lambda drive: None,
    needed: Container[str] = frozenset(),
    purse: Purse | None = None,
) -> list[RunRecord]:
    """Run what is missing of a sweep; return the runs of all its jobs, as they were settled.

    Ray is not started where nothing is missing. A failed run does not end the sweep. progress: is told one
    line per run that ends · watch: is shown the drive several times a second · needed: digests that no search
    prunes · purse: what the runs of this command may take.

    Raises DataChanged before anything is trained where a run on record was made from other data than are
    prepared now, CheckpointError as early where there is no place for checkpoints, RunTaken while another
    process runs this sweep, and Interrupted after the first Ctrl-C, when all that were training have written
    their checkpoints.
    """
    waiting = patient(tracker, settings.patience)
    _prepare(resources, settings, waiting)
    kind = "search" if isinstance(sweep, Search) else "ablation"
    parent = waiting.group(sweep.name, kind=kind, scale=sweep.scale, owner=this_process())
    agenda: Agenda = (
        SearchAgenda(sweep, waiting, parent) if isinstance(sweep, Search) else AblationAgenda(sweep)
    )
    drive = Drive(
        sweep, agenda, parent, resources=resources, settings=settings, tracker=tracker, say=progress,
        needed=needed, purse=purse,
    )  # fmt: skip
    patience = Patience(settings.patience)
    with closing(drive):
        patience.with_call(drive.require_same_data)
        if patience.with_call(drive.anything_left):
            from lab import cluster
            from lab.tune import conduct

            _require_place(sweep.base if isinstance(sweep, Search) else sweep.cases[0].spec, settings)
            with StopRequest() as stop, cluster.connected(settings, resources, groups=resources.several):
                drive.attach(
                    cluster.recorder(partial(MlflowTracker, settings), settings),
                    cluster.concurrent(resources),
                )
                with closing(drive):  # while the recorder is there
                    conduct(drive, lambda: stop() or spent_all(purse), partial(watch, drive))
    progress(f"{sweep.name}: {drive.tally.line()}, {drive.tally.reused} of them on record before")
    for trial, reason in agenda.refused().items():
        progress(f"{sweep.name}: trial {trial} makes no experiment: {reason}")
    if left_out := drive.allowance.told():
        progress(f"{sweep.name}: {left_out}")
    if drive.stopped and not spent_all(purse):
        raise Interrupted(
            f"{sweep.name} stopped with {drive.tally.settled} of {quantity(agenda.total, 'run')} done; "
            "the same command continues."
        )
    if drive.not_begun:
        title, reason = next(iter(drive.not_begun.items()))
        raise RunError(
            f"{quantity(len(drive.not_begun), 'run')} of {sweep.name} could not be begun, the others are "
            f"settled; the first is {title}: {reason}"
        )
    return list(drive.runs.values())


def _prepare(resources: Resources, settings: Settings, tracker: Tracker) -> None:
    """Refuse what cannot be placed before anything is begun, and close what dead processes left open."""
    if settings.ray is None:
        resources.require_room(os.cpu_count() or 1)
    tracker.reconcile()


def _require_place(spec: ExperimentSpec, settings: Settings) -> None:
    """Raise CheckpointError where checkpoints could not be looked for."""
    from lab.train.checkpoint import CheckpointStore

    CheckpointStore(settings.storage, spec.digest).steps()


@contextmanager
def _closed_as(tracker: Tracker, run: RunRecord, patience: float) -> Iterator[None]:
    """Close a run as what the block ends with. A run whose record stays away is not failed: its lease lapses
    with this process, and the same command continues it. Nor is one closed that another process has."""
    waiting = patient(tracker, patience)
    me = this_process()
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as stop:
        with suppress(RunTaken):
            waiting.end(run.run_id, Status.STOPPED, owner=me, reason=str(stop) or "given up")
        raise
    except RunTaken:
        raise
    except TrackingUnreachable as fault:
        with suppress(RecordError):  # it may be back
            tracker.end(run.run_id, Status.STOPPED, owner=me, reason=str(fault))
        raise
    except BaseException as fault:
        reason = str(fault).splitlines()[0] if str(fault) else repr(fault)
        with suppress(RunTaken):
            waiting.end(run.run_id, Status.FAILED, owner=me, reason=reason)
        raise
    waiting.end(run.run_id, Status.COMPLETE, owner=me)

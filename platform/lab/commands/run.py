"""`lab train` and `lab sweep`: run what is missing. The same command again is the resume."""

from __future__ import annotations

import argparse
import dataclasses
from contextlib import closing
from typing import TYPE_CHECKING

from lab import catalog, codec
from lab.commands import budgeting, searching
from lab.commands.catalogue import counts, show_sweep
from lab.errors import SpecError
from lab.execution import Execution
from lab.quantity import quantity
from lab.resources import Resources
from lab.settings import Settings
from lab.spec import ExperimentSpec
from lab.sweep import Ablation, Search, Sweep
from lab.tracking.tracker import RunRecord, Status, Tracker

if TYPE_CHECKING:
    from lab.train.plan import Plan


def train(arguments: argparse.Namespace) -> int:
    """Train one experiment through Ray Train, or say that it is on record already."""
    spec = codec.override(catalog.experiment(arguments.name, arguments.scale), arguments.changes, texts=True)
    if arguments.seed is not None:
        spec = spec.override({"seed": arguments.seed})
    settings, resources = Settings.load(), wanted(arguments)
    if arguments.dry_run:
        return _plan_of_one(arguments, spec, settings, resources)
    require_runnable(spec, settings)

    from lab.origin import require_same_data
    from lab.run import run_one
    from lab.tracking.mlflow import MlflowTracker

    tracker = MlflowTracker(settings)
    finished = tracker.find([spec.digest]).get(spec.digest)
    if finished and finished.status is Status.COMPLETE:
        require_same_data(finished, spec, settings)
        print(f"{arguments.name} ({spec.digest}) is complete; nothing to train.")
        print_result(finished)
        return 0
    print(f"{arguments.name} at {arguments.scale} scale · {spec.digest} · {counts(spec)}")
    record = run_one(
        spec,
        name=arguments.name,
        scale=arguments.scale,
        resources=resources,
        settings=settings,
        tracker=tracker,
    )
    print_result(record)
    return 0 if record.status is Status.COMPLETE else 1


def _plan_of_one(
    arguments: argparse.Namespace, spec: ExperimentSpec, settings: Settings, resources: Resources
) -> int:
    """Print what `lab plan` would of a sweep with this one experiment."""
    from lab.commands.plan import alone, tell
    from lab.pricing import Pricing
    from lab.tracking.mlflow import MlflowTracker

    one = alone(arguments.name, arguments.scale, spec)
    tell(one, Pricing(MlflowTracker(settings), settings, resources), None, None)
    return 0


def sweep(arguments: argparse.Namespace) -> int:
    """Run the missing cases of a sweep; print one line for each and a summary."""
    found = narrowed(catalog.sweep(arguments.name, arguments.scale), arguments)

    from lab.tracking.mlflow import MlflowTracker

    settings = Settings.load()
    if arguments.dry_run:
        return dry_run(found, MlflowTracker(settings))
    require_runnable(found.cases[0].spec if isinstance(found, Ablation) else found.base, settings)
    tracker = MlflowTracker(settings)
    return perform(
        found, arguments, tracker, budgeting.Budgeted.of(arguments, tracker, settings, wanted(arguments))
    )


def perform(
    found: Sweep, arguments: argparse.Namespace, tracker: Tracker, budgeted: budgeting.Budgeted | None
) -> int:
    """Run what is missing of a sweep within a budget, and tell what came of it; 1 where a run failed."""
    from lab.commands.screen import Screen
    from lab.run import run_sweep

    settings, resources = Settings.load(), wanted(arguments)
    screen = Screen(lambda spec: planned(spec, settings).total_steps)
    with closing(screen):
        records = run_sweep(
            found, resources=resources, settings=settings, tracker=tracker,
            progress=screen.say, watch=screen.show, needed=searching.never_pruned(found),
            purse=budgeted.purse if budgeted else None,
        )  # fmt: skip
    searching.tell(found, tracker)
    for line in budgeted.continuation(found, arguments.typed) if budgeted else ():
        print(line)
    failed = [record for record in records if record.status is Status.FAILED]
    for record in failed:
        print(f"failed: {record.name} {record.digest}: {record.tags.get('reason', 'no reason recorded')}")
    return 1 if failed else 0


def require_runnable(spec: ExperimentSpec, settings: Settings) -> None:
    """Say before anything starts what would stop a run at its first step: data that is not there, a split it
    does not have, a batch larger than it. Raises LabError."""
    planned(spec, settings)


def planned(spec: ExperimentSpec, settings: Settings) -> Plan:
    """Its steps, on the data that is there."""
    from lab.train.plan import Plan

    return Plan.of(spec, spec.data.open(settings.data))


def narrowed(found: Sweep, arguments: argparse.Namespace) -> Sweep:
    """The sweep with the seeds, cases or trials asked for. Raises SpecError for a flag of the other kind of
    sweep."""
    if isinstance(found, Search):
        if arguments.seeds or arguments.only:
            raise SpecError(
                f"--seeds and --only are for ablations; {found.name} is a search (it has --trials)."
            )
        return searching.chosen(found, arguments)
    searching.refuse_search_flags(found.name, arguments)
    exactly = tuple(case for case in found.cases if case.label == arguments.only)
    cases = exactly or tuple(case for case in found.cases if (arguments.only or "") in case.label)
    if not cases:
        raise SpecError(
            f"no case of {found.name} contains {arguments.only!r}: {', '.join(c.label for c in found.cases)}."
        )
    return dataclasses.replace(found, cases=cases, seeds=arguments.seeds or found.seeds)


def dry_run(found: Sweep, tracker: Tracker) -> int:
    """What is on record and what would run."""
    show_sweep(found)
    if isinstance(found, Ablation):
        digests = [spec.digest for _, spec in found.specs()]
        complete = [r for r in tracker.find(digests).values() if r.status is Status.COMPLETE]
        wanted = quantity(len(digests), "run")
        print(f"{wanted}: {len(complete)} on record, {len(digests) - len(complete)} to run.")
    return 0


def wanted(arguments: argparse.Namespace) -> Resources:
    return Resources(
        workers=arguments.workers,
        min_workers=arguments.min_workers,
        cpus=arguments.cpus,
        gpus=arguments.gpus,
        concurrent=arguments.concurrent,
        execution=Execution(
            micro_batch=arguments.micro_batch, compile=arguments.compile, sharded=arguments.sharded
        ),
    )


def print_result(record: RunRecord) -> None:
    """One line of metrics, and where the run is."""
    shown = {
        name: value
        for name, value in record.metrics.items()
        if name.partition("/")[2] in ("top1", "loss", "map")
    }
    print("  " + "  ".join(f"{name} {value:.4f}" for name, value in sorted(shown.items())))
    print(f"  run {record.run_id} · {record.status} · {record.seconds:.0f} s · see it with `lab ui`")

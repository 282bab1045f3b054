"""`lab plan`: what a sweep or a table would run, what it reuses, and what that costs. Runs nothing."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

from lab import catalog, codec
from lab.budget import Budget, devices
from lab.commands.catalogue import words
from lab.commands.run import narrowed, wanted
from lab.errors import UnknownName
from lab.forecast import Forecast, Range
from lab.pricing import Pricing
from lab.quantity import quantity
from lab.resources import Resources
from lab.search.ledger import Ledger
from lab.search.samplers import name_of
from lab.settings import Settings
from lab.spec import ExperimentSpec
from lab.sweep import Ablation, Case, Search, Sweep
from lab.tracking.tracker import Status
from lab.train.progress import clock

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class Item:
    """One case with all its seeds, or what is left of a search."""

    label: str
    changes: str
    reused: int
    todo: int
    each: Forecast


def plan(arguments: argparse.Namespace) -> None:
    """Print the cases with their differences, what is on record, and the cost of the rest."""
    found = narrowed(_asked(arguments.name, arguments.scale), arguments)
    budget = Budget.parse(arguments.budget, arguments.rate) if arguments.budget else None
    from lab.tracking.mlflow import MlflowTracker

    settings, resources = Settings.load(), wanted(arguments)
    pricing = Pricing(
        MlflowTracker(settings),
        settings,
        resources,
        sustained=arguments.sustained,
        probing=arguments.probe,
        say=print,
    )
    tell(found, pricing, budget, arguments.rate)


def tell(found: Sweep, pricing: Pricing, budget: Budget | None, rate: float | None) -> None:
    """Print the plan of a sweep as it is to be run. rate: price of an hour of one device"""
    resources = pricing.resources
    items = list(planned(found, pricing))
    for line in report(found, items, resources, rate=rate):
        print(line)
    if budget is not None:
        for line in within(items, budget, resources):
            print(line)


def _asked(name: str, scale: str) -> Sweep:
    """The sweep of that name, the one that fills the table of that name, or the one experiment. Raises
    UnknownName with the near miss among them all."""
    experiments, sweeps = catalog.experiments(), catalog.sweeps()
    if name in experiments or ".py::" in name:
        return alone(name, scale, catalog.experiment(name, scale))
    if name in sweeps or name.endswith(".py"):
        return catalog.sweep(name, scale)
    tables = catalog.package("tables").exhibits()
    if name in tables:
        return catalog.sweep(str(tables[name].sweep), scale)
    known = {*sweeps, *tables, *experiments}
    raise UnknownName.among("sweep, table or experiment", name, known, hint=" `lab list` shows them.")


def alone(name: str, scale: str, spec: ExperimentSpec) -> Ablation:
    """One experiment as a sweep of one run."""
    return Ablation(name, scale, (Case(name, spec),), seeds=(spec.seed,))


def planned(sweep: Sweep, pricing: Pricing) -> Iterator[Item]:
    """Case by case. Past runs of the whole record tell what the rest takes. Raises MissingDataset."""
    if isinstance(sweep, Search):
        yield from _rest_of(sweep, pricing)
        return
    digests = [spec.digest for _, spec in sweep.specs()]
    complete = {d for d, run in pricing.tracker.find(digests).items() if run.status is Status.COMPLETE}
    for case in sweep.cases:
        changed = codec.difference(sweep.cases[0].spec, case.spec)
        reused = sum(case.with_seed(seed).digest in complete for seed in sweep.seeds)
        yield Item(
            label=case.label,
            changes=", ".join(f"{path}={words(new)}" for path, (_, new) in changed.items()),
            reused=reused,
            todo=len(sweep.seeds) - reused,
            each=pricing.forecast(case.spec),
        )


def _rest_of(search: Search, pricing: Pricing) -> Iterator[Item]:
    """A search is priced by its base: what its trials will be nobody knows yet. So are its confirmations."""
    parent = pricing.tracker.parent(search.name, kind="search", scale=search.scale)
    ended = [t for t in Ledger.of(search, parent).trials if t.outcome != "running"] if parent else []
    tried, each = min(len(ended), search.total), pricing.forecast(search.base)
    yield Item("trials", f"{name_of(search.sampler)}, priced as the base", tried, search.total - tried, each)
    if search.confirm:
        best = min(search.confirm.best, search.total)
        changes = f"the best {best} on fresh seeds, priced as the base"
        done = len(pricing.tracker.runs(tags={"sweep": search.name, "scale": search.scale, "confirms": None}))
        runs = best * len(search.confirm.seeds)
        yield Item("confirmations", changes, min(done, runs), max(0, runs - done), each)


def within(items: Sequence[Item], budget: Budget, resources: Resources) -> Iterator[str]:
    """What a sweep with that budget is sure to do, if every run takes as long as it may."""
    unpriced = sum(item.todo for item in items if item.each.seconds is None)
    lanes = 1 if budget.of_devices else at_once(resources)
    each = devices(resources) if budget.of_devices else 1.0
    left, fitting, todo = budget.seconds * lanes, 0, sum(item.todo for item in items)
    for item in items:
        if item.each.seconds is not None:
            runs = min(item.todo, int(left / (item.each.seconds.high * each)))
            fitting, left = fitting + runs, left - runs * item.each.seconds.high * each
    unknown = f"; {unpriced} without a price are not begun (`lab plan --probe`)" if unpriced else ""
    fit = f"{fitting} of {quantity(todo, 'run')} fit"
    yield f"  budget {budget.words}: {fit} even if each takes the longest{unknown}"


def report(sweep: Sweep, items: Sequence[Item], resources: Resources, *, rate: float | None) -> Iterator[str]:
    """The plan in lines: a row per case, then the sums."""
    todo, reused = sum(item.todo for item in items), sum(item.reused for item in items)
    all_runs = quantity(todo + reused, "run" if isinstance(sweep, Ablation) else "trial")
    yield f"{sweep.name} at {sweep.scale} scale: {all_runs}, {reused} on record, {todo} to run"
    wide = max([len(item.label) for item in items] + [24]) + 2
    times = [_time(item.each.seconds) for item in items]
    long = max([len(time) for time in times] + [len("time of a run")]) + 2
    head = f"  {'case':{wide}}{'reused':>7}{'to run':>7}{'operations':>12}"
    yield f"{head}  {'time of a run':{long}}differences"
    for item, time in zip(items, times, strict=True):
        row = f"  {item.label:{wide}}{item.reused:>7}{item.todo:>7}{scaled(item.each.operations, 'FLOP'):>12}"
        yield f"{row}  {time:{long}}{item.changes}".rstrip()
    if todo:
        yield from _sums(items, resources, rate)
    bases = Counter(item.each.basis for item in items if item.todo)
    yield from (
        f"  time from {basis} ({count} of {quantity(len(items), 'case')})" for basis, count in bases.items()
    )


def _sums(items: Sequence[Item], resources: Resources, rate: float | None) -> Iterator[str]:
    left = [item for item in items if item.todo]
    work = sum(item.todo * item.each.operations for item in left)
    stored = sum(item.todo * item.each.disk for item in left)
    yield f"  to do: {scaled(work, 'FLOP')}, {scaled(stored, 'B')} of checkpoints"
    peaks = [item.each.memory for item in left if item.each.memory is not None]
    if peaks:
        most = max(peaks, key=lambda peak: peak.high)
        low, likely, high = (scaled(bytes_, "B") for bytes_ in (most.low, most.likely, most.high))
        yield f"  peak memory of a worker: {likely} ({low} to {high}), of the largest case"
    known = [item.each.seconds.times(item.todo) for item in left if item.each.seconds is not None]
    if len(known) < len(left):
        unknown = quantity(len(left) - len(known), "case")
        yield f"  time unknown for {unknown}: `lab plan --probe` measures it, or run one seed of each"
    if not known:
        return
    total = reduce(Range.__add__, known)
    lanes = at_once(resources)
    yield f"  time: {_time(total)} of work; {_time(total.times(1 / lanes))} with {lanes} at a time"
    unit = "GPU" if resources.gpus else "worker"
    hours = total.times(devices(resources) / SECONDS_PER_HOUR)
    yield f"  {unit}-hours: {_amount(hours)}"
    if rate is not None:
        yield f"  price at {rate:g} per {unit}-hour: {_amount(hours.times(rate))}"


def at_once(resources: Resources) -> int:
    """How many runs this machine holds, unless so many were asked for."""
    fit = int((os.cpu_count() or 1) // (resources.workers * resources.cpus or 1))
    return resources.concurrent or max(1, fit)


def _amount(of: Range) -> str:
    if of.low == of.high:
        return f"{of.likely:,.2f}"
    return f"{of.likely:,.2f} ({of.low:,.2f} to {of.high:,.2f})"


def _time(seconds: Range | None) -> str:
    if seconds is None:
        return "unknown"
    if seconds.low == seconds.high:
        return clock(seconds.likely)
    return f"{clock(seconds.likely)} ({clock(seconds.low)} to {clock(seconds.high)})"


def scaled(number: float, unit: str) -> str:
    """`1.2 TFLOP`."""
    for prefix in ("", "k", "M", "G", "T", "P", "E"):
        if number < 1000:
            return f"{number:.3g} {prefix}{unit}"
        number /= 1000
    return f"{number:.3g} Z{unit}"

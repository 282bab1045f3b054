"""`lab plan`: what a sweep or a table would run, what it reuses, and what that costs. Runs nothing."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from lab import catalog, codec
from lab.commands.catalogue import words
from lab.commands.run import narrowed, wanted
from lab.errors import UnknownName
from lab.forecast import Forecast, Range, forecast, split_sizes
from lab.resources import Resources
from lab.search.ledger import Ledger
from lab.search.samplers import name_of
from lab.settings import Settings
from lab.spec import ExperimentSpec
from lab.sweep import Ablation, Search, Sweep
from lab.tracking.tracker import RunRecord, Status, Tracker
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
    found = narrowed(catalog.sweep(sweep_of(arguments.name), arguments.scale), arguments)
    from lab.tracking.mlflow import MlflowTracker

    settings = Settings.load()
    resources = wanted(arguments)
    items = list(planned(found, MlflowTracker(settings), settings))
    if arguments.sustained is not None:
        items = [at_speed(item, arguments.sustained, resources.workers) for item in items]
    for line in report(found, items, resources, rate=arguments.rate):
        print(line)


def at_speed(item: Item, teraflops: float, workers: int) -> Item:
    """The item with the time it takes if every worker sustains so many operations per second. What is on
    record knows better and stays."""
    if item.each.seconds is not None:
        return item
    seconds = item.each.operations / (1e12 * teraflops * workers)
    basis = f"{teraflops:g} TFLOP/s of each worker, as given"
    return replace(item, each=replace(item.each, seconds=Range(seconds, seconds, seconds), basis=basis))


def sweep_of(name: str) -> str:
    """The sweep of that name, or the one that fills the table of that name."""
    if name in catalog.sweeps() or name.endswith(".py"):
        return name
    tables = catalog.package("tables").exhibits()
    if name in tables:
        return str(tables[name].sweep)
    raise UnknownName.among("sweep or table", name, {*catalog.sweeps(), *tables})


def planned(sweep: Sweep, tracker: Tracker, settings: Settings) -> Iterator[Item]:
    """Case by case. Past runs of the whole record tell what the rest takes. Raises MissingDataset."""
    runs = tracker.runs()
    complete = {run.digest for run in runs if run.status is Status.COMPLETE}
    if isinstance(sweep, Search):
        yield _rest_of(sweep, tracker, _forecast(sweep.base, runs, settings))
        return
    for case in sweep.cases:
        changed = codec.difference(sweep.cases[0].spec, case.spec)
        reused = sum(case.with_seed(seed).digest in complete for seed in sweep.seeds)
        yield Item(
            label=case.label,
            changes=", ".join(f"{path}={words(new)}" for path, (_, new) in changed.items()),
            reused=reused,
            todo=len(sweep.seeds) - reused,
            each=_forecast(case.spec, runs, settings),
        )


def _forecast(spec: ExperimentSpec, runs: Sequence[RunRecord], settings: Settings) -> Forecast:
    return forecast(spec, split_sizes(spec, settings.data), runs)


def _rest_of(search: Search, tracker: Tracker, each: Forecast) -> Item:
    """A search is priced by its base: what its trials will be nobody knows yet."""
    parent = tracker.parent(search.name, kind="search", scale=search.scale)
    ended = [t for t in Ledger.of(search, parent).trials if t.outcome != "running"] if parent else []
    tried = min(len(ended), search.total)
    return Item("trials", f"{name_of(search.sampler)}, priced as the base", tried, search.total - tried, each)


def report(sweep: Sweep, items: Sequence[Item], resources: Resources, *, rate: float | None) -> Iterator[str]:
    """The plan in lines: a row per case, then the sums."""
    todo, reused = sum(item.todo for item in items), sum(item.reused for item in items)
    kind = "runs" if isinstance(sweep, Ablation) else "trials"
    yield f"{sweep.name} at {sweep.scale} scale: {todo + reused} {kind}, {reused} on record, {todo} to run"
    yield f"  {'case':26}{'reused':>7}{'to run':>7}{'operations':>12}  {'time of a run':28}differences"
    for item in items:
        row = f"  {item.label:26}{item.reused:>7}{item.todo:>7}{scaled(item.each.operations, 'FLOP'):>12}"
        yield f"{row}  {_time(item.each.seconds):28}{item.changes}".rstrip()
    if todo:
        yield from _sums(items, resources, rate)
    bases = Counter(item.each.basis for item in items if item.todo)
    yield from (f"  time from {basis} ({count} of {len(items)} cases)" for basis, count in bases.items())


def _sums(items: Sequence[Item], resources: Resources, rate: float | None) -> Iterator[str]:
    left = [item for item in items if item.todo]
    work = sum(item.todo * item.each.operations for item in left)
    stored = sum(item.todo * item.each.disk for item in left)
    yield f"  to do: {scaled(work, 'FLOP')}, {scaled(stored, 'B')} of checkpoints"
    peaks = [item.each.memory for item in left if item.each.memory is not None]
    if peaks:
        yield f"  peak memory of a worker: {scaled(max(peaks), 'B')} (the most that runs like them took)"
    known = [item.each.seconds.times(item.todo) for item in left if item.each.seconds is not None]
    if len(known) < len(left):
        yield f"  time unknown for {len(left) - len(known)} cases: run one seed of each, then ask again"
    if not known:
        return
    total = reduce(Range.__add__, known)
    at_once = resources.concurrent or max(
        1, int((os.cpu_count() or 1) // (resources.workers * resources.cpus or 1))
    )
    yield f"  time: {_time(total)} of work; {_time(total.times(1 / at_once))} with {at_once} at a time"
    unit = "GPU" if resources.gpus else "worker"
    hours = total.times(resources.workers * (resources.gpus or 1) / SECONDS_PER_HOUR)
    yield f"  {unit}-hours: {_amount(hours)}"
    if rate is not None:
        yield f"  price at {rate:g} per {unit}-hour: {_amount(hours.times(rate))}"


def _amount(of: Range) -> str:
    return f"{of.likely:,.2f} ({of.low:,.2f} to {of.high:,.2f})"


def _time(seconds: Range | None) -> str:
    if seconds is None:
        return "unknown"
    return f"{clock(seconds.likely)} ({clock(seconds.low)} to {clock(seconds.high)})"


def scaled(number: float, unit: str) -> str:
    """`1.2 TFLOP`."""
    for prefix in ("", "k", "M", "G", "T", "P", "E"):
        if number < 1000:
            return f"{number:.3g} {prefix}{unit}"
        number /= 1000
    return f"{number:.3g} Z{unit}"

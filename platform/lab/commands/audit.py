"""`lab audit`: train runs again that cells rest on, drawn at random, and compare.

What is trained again goes into a record and a storage of its own, which are thrown away: nothing that is
already known can help. On the same kind of device, with the same libraries and number of workers, every bit
is expected to be the same; elsewhere the numbers in the cells, within a tolerance.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from lab import catalog
from lab.budget import Budget, Purse
from lab.commands.run import wanted
from lab.commands.tables import record, require_known, sweeps_of
from lab.errors import LabError
from lab.forecast import Range
from lab.resources import Resources
from lab.settings import Settings
from lab.spec import ExperimentSpec
from lab.tracking.tracker import RunRecord, Tracker
from lab.train.chain import FILE, Chain, parting
from lab.train.progress import clock

SLOWER = 1.5
"""what a run may take of the time it took before (assumed)"""


@dataclass(frozen=True)
class Drawn:
    """A run, and the cells and metrics that rest on it."""

    run: RunRecord
    spec: ExperimentSpec
    cells: list[str]
    metrics: set[str]


def audit(arguments: argparse.Namespace) -> int:
    """Print a verdict for every run that was trained again; 1 where one came out otherwise."""
    shelf = catalog.package("tables")
    names = arguments.names or sorted(shelf.exhibits())
    require_known(names)
    tracker, settings, resources = record(), Settings.load(), wanted(arguments)
    tables = shelf.assemble(names, tracker, sweeps_of(names, arguments.scale))
    drawn = draw(list(resting(tables, tracker)), arguments.seed)[: arguments.draw]
    if not drawn:
        raise LabError(
            f"no cell of these tables rests on a run at {arguments.scale} scale: run one first, `lab fill "
            f"{names[0]} --scale {arguments.scale}`."
        )
    took = {
        one.run.digest: Range(one.run.seconds, one.run.seconds, SLOWER * one.run.seconds) for one in drawn
    }
    budget = Budget.parse(arguments.budget, arguments.rate) if arguments.budget else None
    purse = Purse(budget, lambda spec: took[spec.digest], resources) if budget else None
    wrong = 0
    for one in drawn:
        title = f"{one.run.digest} seed {one.run.seed} ({one.cells[0]})"
        if purse is not None and not purse.affords(one.spec):
            print(
                f"{title}: not trained, it took {clock(one.run.seconds)} and the budget has not as much left"
            )
            continue
        if purse is not None:
            purse.begin(one.spec.digest)
        same, words = again(one, tracker, settings, resources, arguments.tolerance)
        if purse is not None:
            purse.end(one.spec.digest)
        print(f"{title}: {words}")
        wrong += not same
    return 1 if wrong else 0


def resting(tables: Sequence[Any], tracker: Tracker) -> Iterator[Drawn]:
    """Every run that a number in these tables comes from, once, in an order that is always the same."""
    users: dict[str, list[tuple[str, Any]]] = {}
    for table in tables:
        for row, column, cell in table.cells():
            for reading in getattr(cell, "readings", ()):
                place = f"{table.name} / {row.label} / {column.key}"
                users.setdefault(reading.digest, []).append((place, cell.measurement))
    runs = tracker.find(users)
    for digest in sorted(users.keys() & runs.keys()):
        specs = {spec.digest: spec for _, asked in users[digest] for spec in asked.specs}
        if digest in specs:  # what is stale is of no experiment any more
            cells, metrics = [place for place, _ in users[digest]], {m.metric for _, m in users[digest]}
            yield Drawn(runs[digest], specs[digest], cells, metrics)


def draw(runs: Sequence[Drawn], seed: int) -> list[Drawn]:
    """The runs in the order in which they are drawn; whoever draws with this seed draws the same."""
    return random.Random(seed).sample(runs, len(runs))  # noqa: S311 nobody's secret


def again(
    one: Drawn, tracker: Tracker, settings: Settings, resources: Resources, tolerance: float
) -> tuple[bool, str]:
    """Whether the run comes out as it did, and how well, in words."""
    from lab.run import run_one
    from lab.tracking.mlflow import MlflowTracker

    with TemporaryDirectory(prefix="lab-audit-") as folder:
        home = Path(folder)
        shared = f"{settings.storage}/audit-{uuid4().hex}"  # where the workers of a cluster reach it
        scratch = replace(
            settings,
            tracking=f"sqlite:///{home}/record.db",
            artifacts=str(home / "artifacts"),
            storage=shared if settings.ray else str(home / "checkpoints"),
        )
        fresh = MlflowTracker(scratch)
        try:
            run = run_one(
                one.spec, name="audit", scale="audit", resources=resources, settings=scratch, tracker=fresh
            )
        except LabError as fault:
            return False, f"DIFFERS: it ended without a result this time ({fault})"
        texts = tracker.text(one.run.run_id, FILE), fresh.text(run.run_id, FILE)
    return verdict(one, run, texts, tolerance)


def verdict(
    one: Drawn, run: RunRecord, chains: tuple[str | None, str | None], tolerance: float
) -> tuple[bool, str]:
    """`the same to the last bit`, `within 0.01`, or where the two part."""
    before, after = chains
    if before is not None and after is not None:
        first, second = Chain.read(before), Chain.read(after)
        parted = parting(first, second)
        if parted is None and len(first.links) != len(second.links):  # both runs came to their end
            parted = f"its chain on record has {len(first.links)} links and not {len(second.links)}"
        if parted is None:
            return True, f"the same to the last bit, in {len(second.links)} links"
    else:
        parted = "there is no chain of it to compare"
    was, now = one.run.metrics, run.metrics
    apart = {name: abs(now.get(name, float("inf")) - was.get(name, float("inf"))) for name in one.metrics}
    name = max(apart, key=lambda name: (apart[name], name))
    words = f"{name} {now.get(name)} was {was.get(name)}; {parted}"
    if apart[name] <= tolerance:
        return True, f"within {tolerance:g}: {words}"
    return False, f"DIFFERS by more than {tolerance:g}: {words}"

"""`lab fill`: run what a cell or a table lacks. The plan comes first, the budget holds, and what is on record
is not run again."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any, cast

from lab import catalog
from lab.budget import Budget
from lab.commands import plan, run
from lab.commands.anew import Without, set_aside, unfit
from lab.commands.budgeting import Budgeted
from lab.commands.tables import record, sweeps_of
from lab.errors import UnknownName
from lab.pricing import Pricing
from lab.settings import Settings
from lab.spec import ExperimentSpec
from lab.sweep import Ablation
from lab.tracking import provenance
from lab.tracking.tracker import Status, Tracker


def fill(arguments: argparse.Namespace) -> int:
    """Print the plan of a cell or table, run it, and print what it then says."""
    shelf, (table, *_) = catalog.package("tables"), parts(arguments.name)
    stated, sweep, case = located(arguments.name, arguments.scale)
    settings, resources, tracker = Settings.load(), run.wanted(arguments), record()
    again = unfit(specs_of(stated, sweep, case), tracker, settings) if arguments.anew else {}
    for digest, why in again.items():
        print(f"{digest} is set aside and made anew: {why}")
    rest = cast("Tracker", Without(tracker, again))
    lacks = lacking(stated, sweep, case, rest)
    pricing = Pricing(rest, settings, resources)
    budget = Budget.parse(arguments.budget, arguments.rate) if arguments.budget else None
    for part in lacks:
        plan.tell(part, pricing, budget, arguments.rate)
    if not lacks:
        print(
            f"{arguments.name} lacks no run{'' if arguments.anew else distrusted(stated, sweep, case, rest)}."
        )
    if arguments.dry_run:
        return 0
    for part in lacks:
        run.require_runnable(part.cases[0].spec, settings)
    set_aside(again, tracker, settings)
    budgeted = Budgeted.of(arguments, tracker, settings, resources)
    code = max([run.perform(part, arguments, tracker, budgeted) for part in lacks], default=0)
    (filled,) = shelf.assemble([table], tracker, sweeps_of([table], arguments.scale))
    if shelf.exhibits()[table].undrawn:
        for run_id in shelf.keep_maps([filled], tracker, settings):
            print(f"attention maps are kept with run {run_id}, drawn by its newest checkpoint")
    print(shelf.render([filled], "text"), end="")
    return code


def parts(name: str) -> tuple[str, str, str]:
    """`table6 / 8 interleaved / top1`, or without the spaces, as exhibit, row and column; "" for the rest."""
    table, row, column = (*name.split(" / " if " / " in name else "/", 2), "", "")[:3]
    return table.strip(), row.strip(), column.strip()


def located(name: str, scale: str) -> tuple[Any, Ablation, str | None]:
    """The table of that name or of that cell's, the sweep that fills it, and the cell's case. Raises
    UnknownName."""
    table, row, column = parts(name)
    exhibits = catalog.package("tables").exhibits()
    if table not in exhibits:
        raise UnknownName.among("table", table, exhibits)
    sweep = catalog.sweep(exhibits[table].sweep, scale)
    assert isinstance(sweep, Ablation)
    stated = exhibits[table].table(sweep)
    return stated, sweep, case_of(stated, row, column) if row else None


def asked_of(table: Any, sweep: Ablation, case: str | None) -> list[Any]:
    """What the cells of a table, or those of one case, ask of the record."""
    return [m for m in table.measurements() if m.sweep == sweep.name and case in (None, m.case)]


def specs_of(table: Any, sweep: Ablation, case: str | None) -> list[ExperimentSpec]:
    return [spec for measurement in asked_of(table, sweep, case) for spec in measurement.specs]


def distrusted(table: Any, sweep: Ablation, case: str | None, tracker: Tracker) -> str:
    """How many runs there are no results, and how to make them anew; "" for none."""
    found = tracker.find({spec.digest for spec in specs_of(table, sweep, case)})
    of_no_commit = sum(bool(provenance.distrusted(run.tags)) for run in found.values())
    return (
        f", but {of_no_commit} are tainted: --anew sets them aside and makes them again"
        if of_no_commit
        else ""
    )


def lacking(table: Any, sweep: Ablation, case: str | None, tracker: Tracker) -> list[Ablation]:
    """What of a sweep the cells of a table need and have not, or those of one case: mostly one piece of it,
    one for each choice of seeds that cells ask for. Cases that no cell asks for are left out, and those that
    lack nothing."""
    asked = asked_of(table, sweep, case)
    found = tracker.find({spec.digest for m in asked for spec in m.specs})
    done = {digest for digest, run in found.items() if run.status is Status.COMPLETE}
    wanting: dict[tuple[int, ...], set[str]] = {}
    for m in asked:
        if any(spec.digest not in done for spec in m.specs):
            wanting.setdefault(tuple(spec.seed for spec in m.specs), set()).add(m.case)
    return [
        replace(sweep, cases=tuple(case for case in sweep.cases if case.label in labels), seeds=seeds)
        for seeds, labels in wanting.items()
    ]


def case_of(table: Any, row: str, column: str) -> str:
    """The case of the sweep that fills a cell. Raises UnknownName where there is none, or several."""
    asked = [
        (f"{table.name} / {at.label} / {under.key}", cell.measurement.case)
        for at, under, cell in table.cells()
        if hasattr(cell, "measurement")
    ]
    wanted = f"{table.name} / {row} / {column}"
    found = {case for cell, case in asked if cell == wanted or (not column and cell.startswith(wanted))}
    if len(found) == 1:
        return str(found.pop())
    cells = [cell for cell, case in asked if case in found or not found]
    if found:
        raise UnknownName(f"{row!r} of {table.name} is several cells: name one of {', '.join(cells)}.")
    raise UnknownName.among("cell", wanted.removesuffix(" / "), cells)

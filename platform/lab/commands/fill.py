"""`lab fill`: run what a cell or a table lacks. The plan comes first, the budget holds, and what is on record
is not run again."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from lab import catalog
from lab.budget import Budget
from lab.commands import plan, run
from lab.commands.budgeting import Budgeted
from lab.commands.tables import record, sweeps_of
from lab.errors import UnknownName
from lab.pricing import Pricing
from lab.settings import Settings
from lab.sweep import Ablation
from lab.tracking.tracker import Status, Tracker


def fill(arguments: argparse.Namespace) -> int:
    """Print the plan of a cell or table, run it, and print what it then says."""
    table, row, column = parts(arguments.name)
    shelf = catalog.package("tables")
    exhibits = shelf.exhibits()
    if table not in exhibits:
        raise UnknownName.among("table", table, exhibits)
    sweep = catalog.sweep(exhibits[table].sweep, arguments.scale)
    assert isinstance(sweep, Ablation)
    stated = exhibits[table].table(sweep)
    case = case_of(stated, row, column) if row else None
    settings, resources, tracker = Settings.load(), run.wanted(arguments), record()
    lacks = lacking(stated, sweep, case, tracker)
    pricing = Pricing(tracker, settings, resources)
    budget = Budget.parse(arguments.budget, arguments.rate) if arguments.budget else None
    for part in lacks:
        plan.tell(part, pricing, budget, arguments.rate)
    if not lacks:
        print(f"{arguments.name} lacks no run.")
    if arguments.dry_run:
        return 0
    for part in lacks:
        run.require_runnable(part.cases[0].spec, settings)
    budgeted = Budgeted.of(arguments, tracker, settings, resources)
    code = max([run.perform(part, arguments, tracker, budgeted) for part in lacks], default=0)
    (filled,) = shelf.assemble([table], tracker, sweeps_of([table], arguments.scale))
    if exhibits[table].undrawn:
        for run_id in shelf.keep_maps([filled], tracker, settings):
            print(f"attention maps are kept with run {run_id}, drawn by its newest checkpoint")
    print(shelf.render([filled], "text"), end="")
    return code


def parts(name: str) -> tuple[str, str, str]:
    """`table6 / 8 interleaved / top1`, or without the spaces, as exhibit, row and column; "" for the rest."""
    table, row, column = (*name.split(" / " if " / " in name else "/", 2), "", "")[:3]
    return table.strip(), row.strip(), column.strip()


def lacking(table: Any, sweep: Ablation, case: str | None, tracker: Tracker) -> list[Ablation]:
    """What of a sweep the cells of a table need and have not, or those of one case: mostly one piece of it,
    one for each choice of seeds that cells ask for. Cases that no cell asks for are left out, and those that
    lack nothing."""
    asked = [m for m in table.measurements() if m.sweep == sweep.name and case in (None, m.case)]
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

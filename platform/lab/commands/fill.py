"""`lab fill`: run what a cell or a table lacks. The plan comes first, the budget holds, and what is on record
is not run again."""

from __future__ import annotations

import argparse
from typing import Any

from lab import catalog
from lab.commands import plan, run
from lab.commands.tables import record, sweeps_of
from lab.errors import UnknownName
from lab.settings import Settings
from lab.sweep import Ablation


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
    of_sweep = argparse.Namespace(
        **vars(arguments) | {"name": sweep.name, "only": case_of(stated, row, column) if row else None},
        seeds=None, trials=None, sampler=None, pruning=None, sustained=None, probe=False,
    )  # fmt: skip
    plan.plan(of_sweep)
    if arguments.dry_run:
        return 0
    code = run.sweep(of_sweep)
    tracker = record()
    (filled,) = shelf.assemble([table], tracker, sweeps_of([table], arguments.scale))
    if exhibits[table].undrawn:
        for run_id in shelf.keep_maps([filled], tracker, Settings.load()):
            print(f"attention maps are kept with run {run_id}, drawn by its newest checkpoint")
    print(shelf.render([filled], "text"), end="")
    return code


def parts(name: str) -> tuple[str, str, str]:
    """`table6 / 8 interleaved / top1`, or without the spaces, as exhibit, row and column; "" for the rest."""
    table, row, column = (*name.split(" / " if " / " in name else "/", 2), "", "")[:3]
    return table.strip(), row.strip(), column.strip()


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

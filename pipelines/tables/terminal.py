"""Tables for a terminal: aligned columns and the verdicts; runs and commands are in the other formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lab.quantity import quantity
from pipelines.tables import wording
from pipelines.tables.cell import Measured, Missing, Stage, total
from pipelines.tables.markdown import cells, heads, to_do, verdicts
from pipelines.tables.table import ResultsTable

RULE, GAP = "─", "   "
MANY = 3
"""missing cells that are not told one by one where there is nothing else"""


def terminal(table: ResultsTable) -> str:
    """The table with ours and the paper's side by side; * is as good as the column's best."""
    rows, across = _rows(table), widths(table)
    rule = RULE * (sum(across) + len(GAP) * (len(across) - 1))
    body = [_line(row, across) for row in rows]
    lines = [table.title, table.honesty, "", rule, body[0], rule, *body[1:], rule, ""]
    lines += [line.replace("**", "") for line in (*verdicts(table), *_to_do(table))]
    return "\n".join(lines).rstrip() + "\n"


def _to_do(table: ResultsTable) -> Iterator[str]:
    """As `to_do`, but that whoever has run nothing yet reads one line for each command, not one for each
    cell."""
    blank: dict[str, dict[tuple[str, ...], Missing]] = {}
    missing = 0
    for _, _, cell in table.cells():
        if isinstance(cell, Missing) and cell.state.stage is Stage.MISSING:
            missing += 1
            runs = tuple(spec.digest for spec in cell.measurement.specs)
            blank.setdefault(cell.measurement.command, {})[runs] = cell
    if missing < MANY or any(isinstance(cell, Measured) for _, _, cell in table.cells()):
        yield from to_do(table)
        return
    yield from ("No result yet:", "")
    for command, of in blank.items():
        lacking = sum(cell.state.lacking for cell in of.values())
        seconds, operations = (total([getattr(c, n) for c in of.values()]) for n in ("price", "operations"))
        price = wording.price(seconds, operations)
        wanted = quantity(lacking, "run")
        yield f"- nothing of it has been run at {table.scale} scale: `{command}`, {wanted}, {price}"


def widths(table: ResultsTable) -> list[int]:
    """Of its columns in characters, that of the labels first; `GAP` stands between them."""
    return [max(map(len, column)) for column in zip(*_rows(table), strict=True)]


def _rows(table: ResultsTable) -> list[list[str]]:
    kinds, winners = table.kinds(), table.winners()
    labelled = [[row.label, *map(_starred, cells(table, row, kinds, winners))] for row in table.rows]
    return [["", *heads(table, kinds)], *labelled]


def _line(parts: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        part.ljust(width) if not place else part.rjust(width)
        for place, (part, width) in enumerate(zip(parts, widths, strict=True))
    )
    return GAP.join((first, *others)).rstrip()


def _starred(part: str) -> str:
    """Markdown's bold as a star."""
    return f"{part.replace('**', '')} *" if part.startswith("**") else part

"""Tables for a terminal: aligned columns and the verdicts; runs and commands are in the other formats."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.tables.markdown import cells, heads, to_do, verdicts
from pipelines.tables.table import ResultsTable


def terminal(table: ResultsTable) -> str:
    """The table with ours and the paper's side by side; * is as good as the column's best."""
    kinds, winners = table.kinds(), table.winners()
    rows = [["", *heads(table, kinds)]]
    rows += [[row.label, *map(_starred, cells(table, row, kinds, winners))] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = "─" * (sum(widths) + 3 * (len(widths) - 1))
    body = [_line(row, widths) for row in rows]
    lines = [table.title, table.honesty, "", rule, body[0], rule, *body[1:], rule, ""]
    lines += [line.replace("**", "") for line in (*verdicts(table), *to_do(table))]
    return "\n".join(lines).rstrip() + "\n"


def _line(parts: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        part.ljust(width) if not place else part.rjust(width)
        for place, (part, width) in enumerate(zip(parts, widths, strict=True))
    )
    return "   ".join((first, *others)).rstrip()


def _starred(part: str) -> str:
    """Markdown's bold as a star."""
    return f"{part.replace('**', '')} *" if part.startswith("**") else part

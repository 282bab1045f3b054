"""Tables as Markdown. Nothing here depends on the time: the same record gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipelines.tables import claims, wording
from pipelines.tables.cell import Counted, Measured, Missing, Stage, short
from pipelines.tables.statistics import CONFIDENCE
from pipelines.tables.table import Kind, Place, ResultsTable, Row


def markdown(table: ResultsTable) -> str:
    """The table with ours and the paper's side by side, what is missing, and what the claims say."""
    kinds, winners = table.kinds(), table.winners()
    head = ["", *heads(table, kinds)]
    body = [[row.label, *cells(table, row, kinds, winners)] for row in table.rows]
    lines = [f"## {table.title}", "", f"{table.caption}", "", f"*{table.honesty}*", ""]
    lines += [_line(head), _line(["---", *["---:"] * (len(head) - 1)]), *map(_line, body), ""]
    lines += [*_legend(table), *verdicts(table), *to_do(table), *_runs(table)]
    return "\n".join(lines).rstrip() + "\n"


def heads(table: ResultsTable, kinds: Mapping[str, Kind]) -> Iterator[str]:
    for column in table.columns:
        match kinds[column.key]:
            case "quoted":
                yield f"{column.title} · paper"
            case "counted":
                yield from (f"{column.title} · {table.scale}", "counted at paper scale", "paper")
            case "measured":
                yield from (f"{column.title} % · {table.scale}", "paper")


def cells(
    table: ResultsTable, row: Row, kinds: Mapping[str, Kind], winners: frozenset[Place]
) -> Iterator[str]:
    for column, cell in zip(table.columns, row.cells, strict=True):
        if kinds[column.key] == "measured":
            value, dot, rest = (wording.ours(cell) if cell else "").partition(" · ")
            yield f"**{value}**{dot}{rest}" if (row.label, column.key) in winners else f"{value}{dot}{rest}"
        elif kinds[column.key] == "counted":
            yield wording.ours(cell) if cell else ""
            yield short(cell.at_paper_scale) if isinstance(cell, Counted) else ""
        yield (wording.paper(cell) + ("†" if wording.note(cell) else "")) if cell else ""


def _line(parts: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in parts) + " |"


def _legend(table: ResultsTable) -> Iterator[str]:
    yield (
        f"± is half a {CONFIDENCE:.0%} Student-t interval over the seeds (n of them; n=1 has none). "
        "Bold: not significantly worse than the best of the column (paired by seed, Holm)."
    )
    yield ""
    rules = sorted({(m.selection.name, m.selection.caveat) for m in table.measurements()})
    for name, caveat in rules:
        yield f"- Value of a run: {name}{f' ({caveat})' if caveat else ''}."
    yield from (f"- {note}" for note in wording.footnotes(table))
    yield ""


def verdicts(table: ResultsTable) -> Iterator[str]:
    found = claims.findings(table)
    if found:
        yield f"Claims, tested at {table.scale} scale:"
        yield ""
    for finding in found:
        effect = f": {wording.signed(finding.effect.mean)} points" if finding.effect else ""
        if finding.effect and finding.effect.half_width is not None:
            effect += f" (± {finding.effect.half_width:.1f}, n={finding.effect.n})"
        why = f"; {finding.why}" if finding.why else ""
        yield f"- {finding.claim.sentence} **{finding.verdict}**{effect}{why}"
    if found:
        yield ""


def to_do(table: ResultsTable) -> Iterator[str]:
    """The cells that are no result yet, why, and what fills them."""
    first = True
    for row, column, cell in table.cells():
        if isinstance(cell, Measured | Missing) and cell.state.stage is not Stage.COMPLETE:
            if first:
                yield from ("No result yet:", "")
                first = False
            why = f" ({cell.state.why})" if cell.state.why else ""
            price = wording.price(cell.price, cell.operations, cell.pace)
            command = f"; `{cell.measurement.command}`, {price}" if cell.state.lacking else ""
            if cell.state.stage is Stage.TAINTED:
                command = f"; `{wording.anew(table, row, column)}`"
            yield f"- {row.label}, {column.title.lower()}: {cell.state}{why}{command}"


def _runs(table: ResultsTable) -> Iterator[str]:
    """Which runs every number comes from."""
    measured = [(row, column, cell) for row, column, cell in table.cells() if isinstance(cell, Measured)]
    if measured:
        yield from ("", "<details><summary>Runs</summary>", "")
        for row, column, cell in measured:
            runs = ", ".join(f"`{r.run_id}` (seed {r.seed}, {r.value:.1f})" for r in cell.readings)
            yield f"- {row.label}, {column.title.lower()}: {runs}"
        yield from ("", "</details>")

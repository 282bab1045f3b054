"""Tables as LaTeX with booktabs. Every number of ours links to where it comes from in the report.

A table is a fragment for `\\input`; `document` is a whole file of them. Only ASCII is written, so that any
engine takes it, and nothing depends on the time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from pipelines.tables import wording
from pipelines.tables.cell import Cell, Counted, Measured, Missing, Stage, short
from pipelines.tables.markdown import to_do, verdicts
from pipelines.tables.statistics import CONFIDENCE
from pipelines.tables.table import Kind, Place, ResultsTable, Row

REPORT = "report.html"
"""where links lead, beside the file"""
DOCUMENT = "tables.tex"
"""the file that takes in all others"""
MIDRULE, ROW_END = "\\midrule", " \\\\"
PREAMBLE = """\\documentclass{article}
\\usepackage[a4paper,margin=20mm]{geometry}
\\usepackage{booktabs}
\\usepackage{graphicx}
\\usepackage{textcomp}
\\usepackage[colorlinks,urlcolor=blue]{hyperref}
\\renewcommand{\\labelitemi}{$\\bullet$}
"""
NO_WIDER = "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}"
"""as large as it is, or smaller where the page is narrower; `adjustbox` does so too, but few TeX have it"""
_PLAIN = {
    "\\": "\\textbackslash{}", "{": "\\{", "}": "\\}", "$": "\\$", "&": "\\&", "#": "\\#", "_": "\\_",
    "%": "\\%", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}",
    ">": "\\textgreater{}", "|": "\\textbar{}", '"': "\\textquotedbl{}",
    "±": "$\\pm$", "−": "$-$", "×": "$\\times$", "·": "$\\cdot$", "†": "$\\dagger$", "–": "--",
    "—": "---", "…": "\\ldots{}", "→": "$\\rightarrow$", "≤": "$\\leq$", "≥": "$\\geq$", "≈": "$\\approx$",
    "π": "$\\pi$", "μ": "$\\mu$", "µ": "$\\mu$", "σ": "$\\sigma$", "’": "'", "‘": "`", "“": "``", "”": "''",
    "✓": "yes", "é": "\\'e", "ö": '\\"o', "ü": '\\"u', "ä": '\\"a', "\u00a0": "~",
}  # fmt: skip
_COLUMNS: dict[Kind, tuple[str, ...]] = {
    "quoted": ("paper",),
    "counted": ("ours", "at paper scale", "paper"),
    "measured": ("ours", "paper"),
}


def escaped(text: str) -> str:
    """Words as LaTeX prints them; a letter that is not known here becomes its number, and never a command."""
    return "".join(_PLAIN.get(c, c if c.isascii() else f"[U+{ord(c):04X}]") for c in text)


def document(tables: Sequence[ResultsTable], *, inputs: bool = False) -> str:
    """A whole file with the tables in it, or with `\\input` of each."""
    body = [f"\\input{{{table.name}}}" if inputs else latex(table) for table in tables]
    return "\n".join([PREAMBLE + "\\begin{document}", *body, "\\end{document}"]) + "\n"


def latex(table: ResultsTable) -> str:
    """One table, what is missing in it, and what the claims say."""
    kinds, winners = table.kinds(), table.winners()
    groups = [(column, _COLUMNS[kinds[column.key]]) for column in table.columns]
    width = sum(len(under) for _, under in groups)
    lines = [
        "\\begin{table}[ht]",
        "\\centering",
        f"\\caption{{{escaped(table.title)}. {escaped(table.caption)} {escaped(table.honesty)}}}",
        f"\\label{{tab:{table.name}}}",
        f"{NO_WIDER}{{\\begin{{tabular}}{{l{'r' * width}}}",
        "\\toprule",
        _joined("", *(_group(column.title, kinds[column.key], len(under)) for column, under in groups)),
        *_rules([len(under) for _, under in groups]),
        _joined("", *(_under(words, table) for _, under in groups for words in under)),
        MIDRULE,
        *(_joined(escaped(row.label), *_cells(table, row, kinds, winners)) for row in table.rows),
        "\\bottomrule",
        "\\end{tabular}}",
        "\\end{table}",
        *_notes(table),
    ]
    return "\n".join(lines) + "\n"


def _joined(*parts: str) -> str:
    return " & ".join(parts) + ROW_END


def _group(title: str, kind: Kind, columns: int) -> str:
    unit = " (\\%)" if kind == "measured" else ""
    return f"\\multicolumn{{{columns}}}{{c}}{{{escaped(title)}{unit}}}"


def _rules(widths: Sequence[int]) -> Iterator[str]:
    """A rule below every group, the columns counted from 1 and the labels in the first."""
    first = 2
    for width in widths:
        yield f"\\cmidrule(lr){{{first}-{first + width - 1}}}"
        first += width


def _under(words: str, table: ResultsTable) -> str:
    return escaped(f"{words}, {table.scale}" if words == "ours" else words)


def _cells(
    table: ResultsTable, row: Row, kinds: Mapping[str, Kind], winners: frozenset[Place]
) -> Iterator[str]:
    for column, cell in zip(table.columns, row.cells, strict=True):
        kind, bold = kinds[column.key], (row.label, column.key) in winners
        if kind != "quoted":
            link = f"{REPORT}\\#{wording.anchor(table.name, row.label, column.key)}"
            ours = _ours(cell, bold=bold) if cell else ""
            yield f"\\href{{{link}}}{{{ours}}}" if ours else ""
        if kind == "counted":
            yield escaped(short(cell.at_paper_scale)) if isinstance(cell, Counted) else ""
        mark = "$\\dagger$" if cell and wording.note(cell) else ""
        yield f"{escaped(wording.paper(cell))}{mark}" if cell else ""


def _ours(cell: Cell, *, bold: bool) -> str:
    """The number, how many seeds it rests on, and the state unless it is complete."""
    if isinstance(cell, Missing):
        return f"\\textit{{{escaped(str(cell.state))}}}"
    if not isinstance(cell, Measured):
        return escaped(wording.ours(cell))
    value = escaped(wording.estimate(cell.estimate))
    value = f"\\textbf{{{value}}}" if bold else value
    state = "" if cell.state.stage is Stage.COMPLETE else f" \\textit{{{escaped(str(cell.state))}}}"
    return f"{value} {{\\scriptsize $n$={len(cell.readings)}}}{state}"


def _notes(table: ResultsTable) -> Iterator[str]:
    """What must be said below it, as a list in small type."""
    legend = escaped(
        f"± is half a {CONFIDENCE:.0%} Student-t interval over the seeds. Bold: not significantly worse than "
        "the best of the column (paired by seed, Holm)."
    )
    rules = sorted({(m.selection.name, m.selection.caveat) for m in table.measurements()})
    said = [f"Value of a run: {name}{f' ({caveat})' if caveat else ''}." for name, caveat in rules]
    said += wording.footnotes(table)
    listed = [line for line in (*verdicts(table), *to_do(table)) if line.startswith("- ")]
    yield "{\\footnotesize\\begin{itemize}"
    yield f"\\item {legend}"
    yield from (f"\\item {escaped(line)}" for line in said)
    yield from (f"\\item {_inline(line.removeprefix('- '))}" for line in listed)
    yield "\\end{itemize}}"


def _inline(markdown: str) -> str:
    """A line of Markdown: code, bold and words."""
    parts = re.split(r"(`[^`]*`|\*\*[^*]*\*\*)", markdown)
    return "".join(_inline_part(part) for part in parts)


def _inline_part(part: str) -> str:
    if part.startswith("`"):
        return f"\\texttt{{{escaped(part.strip('`'))}}}"
    return f"\\textbf{{{escaped(part.strip('*'))}}}" if part.startswith("**") else escaped(part)

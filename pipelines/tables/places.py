"""Where each cell stands in a written table, so that an altered character can be named as a cell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from html.parser import HTMLParser
from io import StringIO
from itertools import pairwise
from typing import NamedTuple

from pipelines.tables import latex, terminal, wording
from pipelines.tables.table import ResultsTable, Row

Lines = list[str]
PRINTED = {"quoted": 1, "counted": 3, "measured": 2}
"""columns on paper by what a column holds"""


class Place(NamedTuple):
    """A cell by its exhibit, row label and column key."""

    table: str
    row: str
    column: str

    def __str__(self) -> str:
        return f"{self.table} / {self.row} / {self.column}"


class Span(NamedTuple):
    """The characters from `start` up to `end` say something about `place`."""

    start: int
    end: int
    place: Place


class Edit(NamedTuple):
    """A line that is not as it was written; `place` is None where it belongs to no one cell."""

    place: Place | None
    line: int
    expected: str
    found: str


def spans(text: str, tables: Sequence[ResultsTable], form: str) -> list[Span]:
    """Every place in `text`, which is these tables as they are written in a format."""
    if form == "html":
        return list(_html(text, tables))
    (table,) = tables
    if form in ("csv", "json"):
        return list((_csv if form == "csv" else _json)(text, table))
    return [*_ROWS[form](text, table), *_mentions(text, table)]


def edits(expected: str, found: str, of: Iterable[Span]) -> Iterator[Edit]:
    """Where a text is not what it should be, by the spans of what it should be."""
    owners = list(of)
    lines, others = _lines(expected), _lines(found)
    starts = _offsets(lines)
    for tag, i, i_end, j, j_end in SequenceMatcher(None, lines, others, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        paired = list(zip(lines[i:i_end], others[j:j_end], strict=False))
        for number, (line, other) in enumerate(paired, i):
            for start, end, was, now in _changes(line, other):
                low, high = starts[number] + start, starts[number] + max(end, start + 1)
                hit = dict.fromkeys(s.place for s in owners if s.start < high and low < s.end)
                yield from (Edit(place, j + number - i + 1, was, now) for place in hit or (None,))
        for number in range(i + len(paired), i_end):
            low, high = starts[number], starts[number] + len(lines[number])
            hit = dict.fromkeys(s.place for s in owners if s.start < high and low < s.end)
            yield from (Edit(place, number + 1, lines[number].strip(), "") for place in hit or (None,))
        for number in range(j + len(paired), j_end):
            yield Edit(None, number + 1, "", others[number].strip())


def _changes(line: str, other: str) -> Iterator[tuple[int, int, str, str]]:
    """(start, end, expected words, found words) of what differs in a line."""
    for tag, i, i_end, j, j_end in SequenceMatcher(None, line, other, autojunk=False).get_opcodes():
        if tag != "equal":
            yield i, i_end, _around(line, i, i_end), _around(other, j, j_end)


def _around(line: str, start: int, end: int) -> str:
    """The words that the characters from `start` to `end` are part of."""
    before, after = line.rfind(" ", 0, start) + 1, line.find(" ", end)
    return line[before : after if after >= 0 else None].strip()[:120]


def _lines(text: str) -> Lines:
    return list(StringIO(text, newline="\n"))


def _offsets(lines: Lines) -> list[int]:
    starts, at = [], 0
    for line in lines:
        starts.append(at)
        at += len(line)
    return starts


def printed(table: ResultsTable) -> list[str]:
    """The column key of every column on paper, the labels not included."""
    kinds = table.kinds()
    return [column.key for column in table.columns for _ in range(PRINTED[kinds[column.key]])]


def _in_rows(
    text: str, table: ResultsTable, inside: Callable[[Lines], range], cuts: Callable[[str], list[int]]
) -> Iterator[Span]:
    """Cells of a text with one line for each row, which `cuts` says where to cut."""
    lines = _lines(text)
    starts, keys = _offsets(lines), printed(table)
    for number, row in zip(inside(lines), table.rows, strict=True):
        line = lines[number]
        bounds = [starts[number] + min(cut, len(line) - 1) for cut in cuts(line)]
        for key, (low, high) in zip(keys, pairwise(bounds), strict=True):
            yield Span(low, high, Place(table.name, row.label, key))


def _markdown(text: str, table: ResultsTable) -> Iterator[Span]:
    def inside(lines: Lines) -> range:
        first = next(number for number, line in enumerate(lines) if line.startswith("| --- |")) + 1
        return range(first, first + len(table.rows))

    return _in_rows(text, table, inside, lambda line: _separators(line, r"(?<!\\)\|")[1:])


def _latex(text: str, table: ResultsTable) -> Iterator[Span]:
    def inside(lines: Lines) -> range:
        first = next(number for number, line in enumerate(lines) if line.startswith(latex.MIDRULE)) + 1
        return range(first, first + len(table.rows))

    return _in_rows(
        text, table, inside, lambda line: [*_separators(line, r"(?<!\\)&"), line.rindex(latex.ROW_END)]
    )


def _terminal(text: str, table: ResultsTable) -> Iterator[Span]:
    widths = terminal.widths(table)

    def inside(lines: Lines) -> range:
        first = [number for number, line in enumerate(lines) if line.startswith(terminal.RULE)][1] + 1
        return range(first, first + len(table.rows))

    def cuts(_: str) -> list[int]:
        return [sum(widths[: n + 1]) + len(terminal.GAP) * n for n in range(len(widths))]

    return _in_rows(text, table, inside, cuts)


def _separators(line: str, pattern: str) -> list[int]:
    return [match.start() for match in re.finditer(pattern, line)]


def _mentions(text: str, table: ResultsTable) -> Iterator[Span]:
    """Lines of lists that begin with a cell's row and column."""
    for line in re.finditer(r"(?m)^(- |\\item )(.*)$", text):
        for row, column, _ in table.cells():
            name = f"{row.label}, {column.title.lower()}: "
            if line[2].startswith((name, latex.escaped(name))):
                yield Span(line.start(), line.end() + 1, Place(table.name, row.label, column.key))


def _csv(text: str, table: ResultsTable) -> Iterator[Span]:
    lines = _lines(text)
    for start, line, (row, column, _) in zip(_offsets(lines)[1:], lines[1:], table.cells(), strict=True):
        yield Span(start, start + len(line), Place(table.name, row.label, column.key))


def _json(text: str, table: ResultsTable) -> Iterator[Span]:
    """The objects of the cells come first of those that stand four deep."""
    objects = re.finditer(r"(?ms)^    \{$.*?^    \}", text)
    for found, (row, column, _) in zip(objects, table.cells(), strict=False):
        yield Span(found.start(), found.end(), Place(table.name, row.label, column.key))


def _html(text: str, tables: Sequence[ResultsTable]) -> list[Span]:
    def anchored(table: ResultsTable, row: Row, key: str) -> tuple[str, Place]:
        return wording.anchor(table.name, row.label, key), Place(table.name, row.label, key)

    known = dict(anchored(table, row, column.key) for table in tables for row, column, _ in table.cells())
    page = _Page(text, known)
    page.feed(text)
    page.close()
    return page.spans


class _Page(HTMLParser):
    """Finds the elements whose `data-cell` is one of the anchors."""

    def __init__(self, text: str, known: dict[str, Place]) -> None:
        super().__init__()
        self.spans: list[Span] = []
        self._known = known
        self._starts = _offsets(_lines(text))
        self._open: list[tuple[int, Place | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "td":
            self._open.append((self._here(), self._known.get(dict(attrs).get("data-cell") or "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "td" and self._open:
            start, place = self._open.pop()
            if place is not None:
                self.spans.append(Span(start, self._here(), place))

    def _here(self) -> int:
        line, column = self.getpos()
        return self._starts[line - 1] + column


_ROWS: dict[str, Callable[[str, ResultsTable], Iterator[Span]]] = {
    "text": _terminal,
    "md": _markdown,
    "tex": _latex,
}

"""The paper's printed values, read from `paper.yaml`, the one place that holds them, with their provenance.

Reading is strict: an unknown key, a row of the wrong length, an unnamed source or a remark about no row is an
error, so that a slip in the data cannot become a number in a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

import yaml

from lab.errors import DataError, UnknownName

Status = Literal["seen", "digitised", "derived", "memory", "missing"]
"""How a value came to us: read in a source, read off a plot, computed by us, unverified, not recovered."""

KEYS = frozenset(
    {
        "meta", "sources", "tables", "figures", "text_only_ablations", "configs", "training", "remarks",
        "v1_values", "related_results_same_authors", "derived_counts", "third_party_reproductions",
    }
)  # fmt: skip
TABLE_KEYS = frozenset({"id", "caption", "columns", "rows", "notes", "provenance"})
SUFFIXES = {"_M": "M", "_G": "B"}
"""Column suffix -> what the paper prints behind the number (it writes 707.2B for 707.2 GFLOP)."""


@dataclass(frozen=True)
class Quoted:
    """A value as the paper prints it: `text` is what stands there, `value` its number, if it is one."""

    value: float | None
    text: str
    where: str
    """`Table 6`"""
    status: Status
    sources: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class Remark:
    """What must be said wherever the value of one row and column is shown."""

    row: Mapping[str, Any]
    column: str
    note: str
    text: str | None = None


@dataclass(frozen=True)
class PaperTable:
    """A printed table: columns, rows of plain values, and how they came to us."""

    id: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    status: Status
    sources: tuple[str, ...]
    notes: str = ""
    remarks: tuple[Remark, ...] = ()

    def quote(self, column: str, **key: Any) -> Quoted:
        """The value in `column` of the one row with these values. Raises UnknownName."""
        if column not in self.columns:
            raise UnknownName.among(f"column in the paper's {self.id}", column, self.columns)
        value = self._row(key)[column]
        remark = next(
            (r for r in self.remarks if r.column == column and self._row(r.row) == self._row(key)), None
        )
        return Quoted(
            value=float(value) if isinstance(value, int | float) else None,
            text=remark.text if remark and remark.text else _printed(value, column),
            where=f"Table {self.id.removeprefix('T')}",
            status=self.status,
            sources=self.sources,
            note=remark.note if remark else "",
        )

    def _row(self, key: Mapping[str, Any]) -> dict[str, Any]:
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        found = [row for row in rows if key.items() <= row.items()]
        if len(found) != 1:
            raise UnknownName(
                f"{len(found)} rows of the paper's {self.id} have {dict(key)}: name exactly one."
            )
        return found[0]


@dataclass(frozen=True)
class Paper:
    """Everything the paper prints in tables, by table id (`T1` to `T7`, `T3b`)."""

    tables: Mapping[str, PaperTable]
    sources: Mapping[str, str]

    def table(self, identity: str) -> PaperTable:
        """The table of that id. Raises UnknownName."""
        if identity not in self.tables:
            raise UnknownName.among("table in the paper's values", identity, self.tables)
        return self.tables[identity]

    @classmethod
    def parse(cls, text: str) -> Paper:
        """The values written in `text`. Raises DataError naming the fault."""
        data = yaml.safe_load(text)
        _refuse_unknown("paper.yaml", data, KEYS)
        sources = {
            name: str(source.get("what") or source["where"]) for name, source in data["sources"].items()
        }
        remarks: dict[str, list[Remark]] = {}
        for item in data.get("remarks", ()):
            _refuse_unknown("remarks", item, frozenset({"table", "row", "column", "text", "note"}))
            fields = {name: value for name, value in item.items() if name != "table"}
            remarks.setdefault(item["table"], []).append(Remark(**fields))
        tables = [_table(item, tuple(remarks.pop(item["id"], ())), sources) for item in data["tables"]]
        if remarks:
            raise DataError(f"paper.yaml: remarks about {sorted(remarks)}, which are no tables of the paper.")
        return cls(tables={table.id: table for table in tables}, sources=sources)


@cache
def load() -> Paper:
    """The paper's values, as they ship with this package."""
    return Paper.parse(files(__package__).joinpath("paper.yaml").read_text(encoding="utf-8"))


def quote(identity: str, column: str, **key: Any) -> Quoted:
    """One printed value: `quote("T7", "valid_top1", model="W/ weight sharing")`. Raises UnknownName."""
    return load().table(identity).quote(column, **key)


def _printed(value: Any, column: str) -> str:
    """A value as the paper writes it: one decimal and a suffix, thousands apart, a dash for nothing."""
    if isinstance(value, float):
        return f"{value:.1f}" + next((text for end, text in SUFFIXES.items() if column.endswith(end)), "")
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(item: Mapping[str, Any], remarks: tuple[Remark, ...], sources: Mapping[str, str]) -> PaperTable:
    _refuse_unknown(item["id"], item, TABLE_KEYS)
    origin = item["provenance"]
    if origin["status"] not in get_args(Status):
        raise DataError(
            f"{item['id']}: provenance must be one of {get_args(Status)}, got {origin['status']!r}."
        )
    unnamed = [source for source in origin["sources"] if source not in sources]
    if unnamed:
        raise DataError(f"{item['id']}: sources {unnamed} are not listed under `sources`.")
    for row in item["rows"]:
        if len(row) != len(item["columns"]):
            raise DataError(
                f"{item['id']}: row {row} has {len(row)} values for {len(item['columns'])} columns."
            )
    table = PaperTable(
        id=item["id"],
        caption=item["caption"],
        columns=tuple(item["columns"]),
        rows=tuple(tuple(row) for row in item["rows"]),
        status=origin["status"],
        sources=tuple(origin["sources"]),
        notes=item.get("notes", ""),
        remarks=remarks,
    )
    for remark in remarks:
        table.quote(remark.column, **remark.row)
    return table


def _refuse_unknown(where: str, data: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(data.keys() - known)
    if unknown:
        raise DataError(f"{where}: unknown keys {unknown}; it has {', '.join(sorted(known))}.")

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
class Statement:
    """What the paper says in words, without a number."""

    claim: str
    where: str
    """`section 4.1`"""
    sources: tuple[str, ...]


@dataclass(frozen=True)
class PaperFigure:
    """A printed plot: panel -> the values read off it by what was swept; None where it was not recovered."""

    id: str
    panels: Mapping[str, Mapping[float, float] | None]
    status: Status
    sources: tuple[str, ...]
    uncertainty: float = 0.0
    why: str = ""
    """why values are missing"""

    @property
    def where(self) -> str:
        return f"Figure {self.id.removeprefix('F')}"

    def quote(self, panel: str, swept: float) -> Quoted:
        """The value of a panel at one place of its axis, `≈ 68.0` if it was read off the plot, or that it is
        missing. Raises UnknownName."""
        if panel not in self.panels:
            raise UnknownName.among(f"panel in the paper's {self.where}", panel, self.panels)
        values = self.panels[panel]
        if values is None:
            return Quoted(None, "not recovered", self.where, self.status, self.sources)
        if swept not in values:
            raise UnknownName(f"{self.where}, {panel}, has no {swept:g}: it has {sorted(values)}.")
        read_off = "≈ " if self.status == "digitised" else ""
        return Quoted(values[swept], f"{read_off}{values[swept]:.1f}", self.where, self.status, self.sources)


@dataclass(frozen=True)
class PaperTable:
    """A printed table: columns, rows of plain values, and how they came to us."""

    id: str
    where: str
    """`Table 6`"""
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
            where=self.where,
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
    """What the paper says: tables by id (`T1` to `T7`, `T3b`; `IO_T7` and `IO_T10` are its authors' later
    runs of it), figures (`F5`, `F6`), and statements without a number (`A_optimizer`)."""

    tables: Mapping[str, PaperTable]
    figures: Mapping[str, PaperFigure]
    statements: Mapping[str, Statement]
    sources: Mapping[str, str]

    def table(self, identity: str) -> PaperTable:
        """The table of that id. Raises UnknownName."""
        if identity not in self.tables:
            raise UnknownName.among("table in the paper's values", identity, self.tables)
        return self.tables[identity]

    def figure(self, identity: str) -> PaperFigure:
        """The figure of that id. Raises UnknownName."""
        if identity not in self.figures:
            raise UnknownName.among("figure in the paper's values", identity, self.figures)
        return self.figures[identity]

    def statement(self, identity: str) -> Statement:
        """The statement of that id. Raises UnknownName."""
        if identity not in self.statements:
            raise UnknownName.among("statement in the paper's values", identity, self.statements)
        return self.statements[identity]

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
        printed = [*data["tables"], *map(_as_table, data["related_results_same_authors"])]
        tables = [_table(item, tuple(remarks.pop(item["id"], ())), sources) for item in printed]
        if remarks:
            raise DataError(f"paper.yaml: remarks about {sorted(remarks)}, which are no tables of the paper.")
        figures = [_figure(item) for item in data["figures"] if "panels" in item]
        return cls(
            tables={table.id: table for table in tables},
            figures={figure.id: figure for figure in figures},
            statements={item["id"]: _statement(item) for item in data["text_only_ablations"]},
            sources=sources,
        )


@cache
def load() -> Paper:
    """The paper's values, as they ship with this package."""
    return Paper.parse(files(__package__).joinpath("paper.yaml").read_text(encoding="utf-8"))


def quote(identity: str, column: str, **key: Any) -> Quoted:
    """One printed value: `quote("T7", "valid_top1", model="W/ weight sharing")`. Raises UnknownName."""
    return load().table(identity).quote(column, **key)


def plotted(identity: str, panel: str, swept: float) -> Quoted:
    """One value of a plot: `plotted("F5", "latent_index_dim", 256)`. Raises UnknownName."""
    return load().figure(identity).quote(panel, swept)


def said(identity: str) -> Statement:
    """What the paper says in words: `said("A_optimizer")`. Raises UnknownName."""
    return load().statement(identity)


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
        where=_where(item["id"], origin),
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


def _where(identity: str, origin: Mapping[str, Any]) -> str:
    """`Table 6`, `section 4.2`, or `Perceiver IO, Table 7` for its authors' later runs."""
    if "where" in origin:
        return str(origin["where"])
    if identity.startswith("IO_T"):
        return f"Perceiver IO, Table {identity.removeprefix('IO_T')}"
    return f"Table {identity.removeprefix('T')}"


def _as_table(item: Mapping[str, Any]) -> dict[str, Any]:
    """The later runs are listed in a shorter form."""
    rest = {name: value for name, value in item.items() if name not in ("status", "sources", "setting")}
    origin = {"status": item["status"], "sources": item["sources"]}
    return rest | {"caption": item.get("setting", ""), "provenance": origin}


def _figure(item: Mapping[str, Any]) -> PaperFigure:
    origin = item["provenance"]
    panels = {
        name: dict(zip(panel["x"], panel["top1"], strict=True)) if panel["x"] else None
        for name, panel in item["panels"].items()
    }
    return PaperFigure(
        id=item["id"],
        panels=panels,
        status=origin["status"],
        sources=tuple(origin["sources"]),
        uncertainty=item.get("uncertainty", 0.0),
        why=origin.get("why", ""),
    )


def _statement(item: Mapping[str, Any]) -> Statement:
    where = f"section {item['where']}" if item["where"][0].isdigit() else item["where"]
    return Statement(item["claim"], where, tuple(item["sources"]))


def _refuse_unknown(where: str, data: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(data.keys() - known)
    if unknown:
        raise DataError(f"{where}: unknown keys {unknown}; it has {', '.join(sorted(known))}.")

"""The page: one static file that works offline, with nothing fetched and no script.

A cell is a button; what it opens (HTML's popover) has the cell's seeds, curves, differences and provenance.
Without support for popovers the page still has every number, and the commands that print the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lab import catalog, codec
from lab.commands.catalogue import words
from lab.commands.plan import scaled
from lab.errors import UnknownName
from lab.spec import ExperimentSpec
from lab.tracking.tracker import Tracker
from pipelines.tables import svg, wording
from pipelines.tables.cell import Cell, Counted, Measured, Missing, Stage, short
from pipelines.tables.claims.claim import Claim, Exact
from pipelines.tables.claims.family import Family, families, tally
from pipelines.tables.claims.told import effect
from pipelines.tables.fill import Record
from pipelines.tables.histories import training
from pipelines.tables.order import in_order
from pipelines.tables.paper import Quoted, load
from pipelines.tables.plots import Panel
from pipelines.tables.report.checklist import checklist
from pipelines.tables.report.costs import costs
from pipelines.tables.report.sheet import sheet
from pipelines.tables.search import SearchResult
from pipelines.tables.searchplots import panels, parallel
from pipelines.tables.statistics import CONFIDENCE
from pipelines.tables.table import ResultsTable

HERE = Path(__file__).parent
STYLES = (svg.STYLE, HERE / "page.css")
"""in this order: the page may change what drawings begin with"""


@dataclass(frozen=True)
class Specification:
    """A case in full: field -> value, without its seed."""

    anchor: str
    title: str
    fields: tuple[tuple[str, str], ...]


def report(
    tables: Sequence[ResultsTable],
    plots: Mapping[str, Sequence[Panel]] | None = None,
    searches: Sequence[SearchResult] = (),
    tracker: Tracker | None = None,
    *,
    seen: Mapping[str, Sequence[Panel]] | None = None,
    undrawn: Mapping[str, str] | None = None,
) -> str:
    """The page of these filled tables, with the drawings of each by its name, and of these searches.

    tracker: asked for what cells open to; without it they open to what the tables hold. seen: by the name of
    a table, what its models look at · undrawn: what to do where that is not known, commands in backquotes.
    """
    ordered = in_order(tables)
    record = _record(ordered, tracker)
    told = families(ordered)
    return _render(
        "page.html",
        tables=ordered,
        plots={name: [_drawn(panel) for panel in drawn] for name, drawn in _panels(ordered, plots, tracker)},
        seen={name: [_drawn(panel) for panel in drawn] for name, drawn in (seen or {}).items()},
        undrawn={name: words.split("`") for name, words in (undrawn or {}).items()},
        families=told,
        findings={family.name: family.findings for family in told},
        verdicts=tally(told),
        sheet_of=partial(_sheet, record=record),
        costs=costs(ordered, record) if record else [],
        checklist=checklist(ordered, record) if record else [],
        specifications=_specifications(ordered),
        searches=[
            (result, [_drawn(panel) for panel in panels(result)], _drawn_or_none(parallel(result)))
            for result in searches
        ],
        scales=_scales(ordered, searches),
        sources=load().sources,
        confidence=f"{CONFIDENCE:.0%}",
    )


def claims_page(of: Sequence[Family]) -> str:
    """The claims alone."""
    return _render("claims_page.html", families=of, verdicts=tally(of))


def _panels(
    tables: Sequence[ResultsTable], plots: Mapping[str, Sequence[Panel]] | None, tracker: Tracker | None
) -> Iterator[tuple[str, Sequence[Panel]]]:
    """The drawings of each exhibit, and how its runs trained."""
    for table in tables:
        yield table.name, [*(plots or {}).get(table.name, ()), *(training(table, tracker) if tracker else ())]


def _record(tables: Sequence[ResultsTable], tracker: Tracker | None) -> Record | None:
    if tracker is None:
        return None
    digests = {spec.digest for table in tables for asked in table.measurements() for spec in asked.specs}
    return Record(tracker, tracker.find(digests))


def _sheet(table: ResultsTable, cell: Measured | Missing, *, record: Record | None) -> dict[str, object]:
    opened = sheet(table, cell, record)
    return {**vars(opened), "drawings": [_drawn(panel) for panel in opened.drawings]}


def _specifications(tables: Sequence[ResultsTable]) -> list[Specification]:
    """Every case once, whatever number of cells it fills."""
    found: dict[str, Specification] = {}
    for table in tables:
        for asked in table.measurements():
            spec = asked.specs[0]
            found.setdefault(
                spec.digest,
                Specification(f"spec-{spec.digest}", f"{asked.sweep} · {asked.case}", tuple(_fields(spec))),
            )
    return list(found.values())


def _fields(spec: ExperimentSpec) -> list[tuple[str, str]]:
    return [(path, words(value)) for path, value in codec.flatten(spec).items() if path != "seed"]


def _scales(tables: Sequence[ResultsTable], searches: Sequence[SearchResult]) -> list[tuple[str, str]]:
    """Name and caption of every scale on the page."""
    told = {}
    for name in sorted({table.scale for table in tables} | {result.scale for result in searches}):
        told[name] = ""
        with suppress(UnknownName):
            told[name] = catalog.find_scale(name).caption
    return list(told.items())


def _progress(table: ResultsTable) -> tuple[int, int]:
    """Complete cells, and measured cells."""
    stages = [cell.state.stage for _, _, cell in table.cells() if isinstance(cell, Measured | Missing)]
    return stages.count(Stage.COMPLETE), len(stages)


def _drawn(panel: Panel) -> tuple[str, Markup]:
    return panel.title, Markup(panel.drawing)  # noqa: S704 text in it was escaped when it was drawn


def _drawn_or_none(panel: Panel | None) -> tuple[str, Markup] | None:
    return _drawn(panel) if panel else None


def _render(template: str, **values: object) -> str:
    css = Markup("".join(path.read_text(encoding="utf-8") for path in STYLES))  # noqa: S704 our own files
    return _environment().get_template(template).render(css=css, **values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.globals |= {"wording": wording, "short": short, "effect": effect, "scaled": scaled}
    environment.globals |= {"progress_of": _progress}
    environment.tests |= {
        "quoted": _is(Quoted),
        "counted": _is(Counted),
        "measured": _is(Measured),
        "missing": _is(Missing),
        "tested": _is(Claim),
        "exact": _is(Exact),
    }
    return environment


def _is(kind: type) -> Callable[[Cell | Claim | Exact | None], bool]:
    def test(thing: object) -> bool:
        return isinstance(thing, kind)

    return test

"""The report: one static page that works offline, with nothing fetched and no script.

Every measured cell opens to its seeds, runs, command and provenance. The page follows the reader's light or
dark setting and prints in black and white.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from pipelines.tables import claims, wording
from pipelines.tables.cell import Cell, Counted, Measured, Missing, short
from pipelines.tables.paper import Quoted, load
from pipelines.tables.plots import Panel
from pipelines.tables.search import SearchResult
from pipelines.tables.searchplots import panels, parallel
from pipelines.tables.statistics import CONFIDENCE
from pipelines.tables.table import ResultsTable

HERE = Path(__file__).parent
STYLES = ("plot.css", "report.css")
"""in this order: the page may change what drawings begin with"""


def report(
    tables: Sequence[ResultsTable],
    plots: Mapping[str, Sequence[Panel]] | None = None,
    searches: Sequence[SearchResult] = (),
) -> str:
    """The page of these filled tables, with the plots of each by its name, and of these searches."""
    return _template().render(
        tables=tables,
        plots={name: [_drawn(panel) for panel in drawn] for name, drawn in (plots or {}).items()},
        findings={table.name: claims.findings(table) for table in tables},
        searches=[
            (result, [_drawn(panel) for panel in panels(result)], _drawn_or_none(parallel(result)))
            for result in searches
        ],
        scales=sorted({table.honesty for table in tables}),
        sources=load().sources,
        confidence=f"{CONFIDENCE:.0%}",
        css=Markup("".join((HERE / name).read_text(encoding="utf-8") for name in STYLES)),  # noqa: S704 our own
    )


def _drawn(panel: Panel) -> tuple[str, Markup]:
    return panel.title, Markup(panel.drawing)  # noqa: S704 text in it was escaped when it was drawn


def _drawn_or_none(panel: Panel | None) -> tuple[str, Markup] | None:
    return _drawn(panel) if panel else None


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.globals |= {"wording": wording, "short": short}
    environment.tests |= {
        "quoted": _is(Quoted),
        "counted": _is(Counted),
        "measured": _is(Measured),
        "missing": _is(Missing),
    }
    return environment.get_template("report.html")


def _is(kind: type) -> Callable[[Cell | None], bool]:
    def test(cell: Cell | None) -> bool:
        return isinstance(cell, kind)

    return test

"""Exhibits of what the paper says in words alone: ours is measured, theirs has no number."""

from __future__ import annotations

from collections.abc import Sequence

from lab import Ablation
from pipelines.tables.claims import Claim, contrast
from pipelines.tables.paper import said
from pipelines.tables.plots import Panel, bars
from pipelines.tables.table import Column, ResultsTable, Row, measure, setting


def stated(
    sweep: Ablation,
    *,
    title: str,
    statements: Sequence[Claim],
    metric: str,
    heading: str,
    notes: Sequence[str] = (),
    stands_for: str = "ImageNet",
) -> ResultsTable:
    """A row for every case of the sweep."""
    return ResultsTable(
        name=sweep.name,
        title=title,
        caption=f"{heading} (%). The paper compares these in words and prints no numbers.",
        sweep=sweep.name,
        scale=sweep.scale,
        setting=setting(sweep),
        columns=(Column("value", heading, "higher"),),
        rows=tuple(Row(case.label, (measure(sweep, case.label, metric),)) for case in sweep.cases),
        claims=tuple(statements),
        notes=tuple(notes),
        stands_for=stands_for,
    )


def better(statement: str, left: str, right: str, sentence: str = "") -> Claim:
    """What the paper says, as: this case is better than that one. A `sentence` says it of these two alone."""
    words = said(statement)
    terms = contrast(("+", left, "value"), ("-", right, "value"))
    return Claim(sentence or _sentence(words.claim), words.where, terms)


def alike(statement: str, left: str, right: str, margin: float) -> Claim:
    """What the paper says, as: these two cases differ by less than a margin, in points."""
    words = said(statement)
    terms = contrast(("+", left, "value"), ("-", right, "value"))
    return Claim(_sentence(words.claim), words.where, terms, expects="zero", margin=margin)


def plot(filled: ResultsTable) -> list[Panel]:
    """A bar for each case."""
    return bars(filled, ("value",))


def _sentence(claim: str) -> str:
    """The statement without what it adds behind a semicolon: that there are no numbers."""
    return f"{claim[0].upper()}{claim[1:].partition(';')[0]}."

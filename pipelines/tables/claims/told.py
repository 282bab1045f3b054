"""The claims as text, Markdown and JSON. The same record gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

from lab.errors import SpecError
from pipelines.tables import wording
from pipelines.tables.claims.claim import Claim
from pipelines.tables.claims.family import Family, families, tally
from pipelines.tables.claims.verdict import Finding
from pipelines.tables.statistics import CONFIDENCE
from pipelines.tables.table import ResultsTable

Format = Literal["text", "md", "json", "html"]
LEGEND = (
    f"Effects are means over seeds with half a {CONFIDENCE:.0%} Student-t interval, differences paired by "
    "seed; p-values are corrected by Holm over the claims of one exhibit."
)


def render(tables: Sequence[ResultsTable], format: Format) -> str:  # noqa: A002
    """The exact claims and those of these filled tables as one text."""
    from pipelines.tables.report import claims_page

    writers = {"text": text, "md": markdown, "json": json_text, "html": claims_page}
    if format not in writers:
        raise SpecError(f"format must be one of {', '.join(get_args(Format))}, got {format!r}.")
    return writers[format](families(tables))


def text(of: Sequence[Family]) -> str:
    """For a terminal: a verdict and a sentence in a line, what it rests on below."""
    lines = [summary(of), ""]
    for family in of:
        lines += [family.title, family.where]
        for finding in family.findings:
            lines += [f"  {finding.verdict:12}  {finding.claim.sentence}", f"{'':16}{basis(finding)}"]
        lines.append("")
    return "\n".join([*lines, LEGEND]) + "\n"


def markdown(of: Sequence[Family]) -> str:
    """A table for each exhibit."""
    lines = ["# What the paper says, tested", "", summary(of), ""]
    for family in of:
        lines += [f"## {family.title}", "", f"*{family.where}*", ""]
        lines += ["| Verdict | Sentence | Where | Rests on |", "| --- | --- | --- | --- |"]
        lines += [
            "| " + " | ".join(cell.replace("|", "\\|") for cell in _row(f)) + " |" for f in family.findings
        ]
        lines.append("")
    return "\n".join([*lines, LEGEND]) + "\n"


def json_text(of: Sequence[Family]) -> str:
    """Everything that is known of every claim."""
    data = [
        {
            "family": family.name,
            "title": family.title,
            "where": family.where,
            "claims": [_facts(finding) for finding in family.findings],
        }
        for family in of
    ]
    held = {"confidence": CONFIDENCE, "correction": "Holm within a family", "families": data}
    return json.dumps(held, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def summary(of: Sequence[Family]) -> str:
    """`43 sentences: 18 proven, 9 supported, 4 contradicted, 12 undecided.`"""
    found = tally(of)
    return (
        f"{sum(found.values())} sentences: "
        + ", ".join(f"{n} {verdict}" for verdict, n in found.items())
        + "."
    )


def basis(finding: Finding) -> str:
    """What a verdict rests on: effect, n, p and what was expected, or why there is none and what it takes."""
    parts = []
    if finding.effect is not None:
        parts += [effect(finding), f"n={finding.effect.n}"]
    if finding.p_value is not None:
        parts.append(wording.p_value(finding.p_value))
    if isinstance(finding.claim, Claim) and finding.claim.contrast:
        parts.append(f"expected {finding.claim.expectation}")
    if finding.why:
        parts.append(finding.why)
    parts += [f"`{command}`" for command in finding.commands]
    if finding.commands:
        parts.append(wording.price(finding.price, finding.operations))
    return "; ".join(parts)


def effect(finding: Finding) -> str:
    """`+10.5 ± 1.2 points`."""
    if finding.effect is None:
        return ""
    half = finding.effect.half_width
    return wording.signed(finding.effect.mean) + ("" if half is None else f" ± {half:.1f}") + " points"


def _row(finding: Finding) -> Iterator[str]:
    claim = finding.claim
    quoted = f" (“{claim.quote}”)" if claim.quote else ""
    yield from (f"**{finding.verdict}**", claim.sentence, f"{claim.source}{quoted}", basis(finding))


def _facts(finding: Finding) -> dict[str, Any]:
    claim, of = finding.claim, finding.effect
    tested = claim if isinstance(claim, Claim) and claim.contrast else None
    return {
        "id": claim.id,
        "sentence": claim.sentence,
        "source": claim.source,
        "quote": claim.quote or None,
        "contrast": [["+" if sign > 0 else "-", *place] for sign, place in tested.contrast]
        if tested
        else None,
        "expects": tested and tested.expects,
        "margin": tested and tested.margin,
        "verdict": str(finding.verdict),
        "effect": of and of.mean,
        "low": of and of.low,
        "high": of and of.high,
        "n": of.n if of else 0,
        "p_holm": finding.p_value,
        "why": finding.why,
        "commands": list(finding.commands),
        "price_seconds": finding.price,
        "price_flop": finding.operations,
    }

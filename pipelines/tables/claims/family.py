"""All claims with their verdicts, by what they are about: the network itself, then exhibit by exhibit.

The claims of one exhibit are one family: Holm's correction is over them, in `lab claims` as beside the
exhibit, so that a run of one exhibit changes no verdict of another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from pipelines.tables.claims.claim import Verdict
from pipelines.tables.claims.exact import EXACT
from pipelines.tables.claims.verdict import Finding, findings, settled
from pipelines.tables.order import in_order
from pipelines.tables.table import ResultsTable


@dataclass(frozen=True)
class Family:
    """name: of the exhibit · title: what the claims are about · where: at which scale and on what they were
    tested"""

    name: str
    title: str
    where: str
    findings: tuple[Finding, ...]


def families(tables: Iterable[ResultsTable]) -> list[Family]:
    """The exact claims, then those of every filled table that has any."""
    exact = Family(
        "network",
        "The network itself",
        "Exact, at the paper's scale: counted or computed, no run needed.",
        _exact(),
    )
    of_runs = [
        Family(table.name, table.title, table.honesty, tuple(findings(table)))
        for table in in_order(list(tables))
        if table.claims
    ]
    return [exact, *of_runs]


def tally(of: Sequence[Family]) -> dict[Verdict, int]:
    """How many claims have each verdict."""
    found = Counter(finding.verdict for family in of for finding in family.findings)
    return {verdict: found[verdict] for verdict in Verdict}


@cache
def _exact() -> tuple[Finding, ...]:
    """They depend on the code alone: once is enough."""
    return tuple(settled(claim) for claim in EXACT)

"""From cells to verdicts: the effect over shared seeds, its p-value, Holm over the claims of a table.

At a smaller scale than the paper's it is the claims that are tested, never the values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.tables import statistics
from pipelines.tables.cell import Measured, Missing, Stage, total
from pipelines.tables.claims.claim import Claim, Exact, Verdict
from pipelines.tables.statistics import Estimate
from pipelines.tables.table import ResultsTable

MOST = 1000
"""seeds beyond which nobody would go"""


@dataclass(frozen=True)
class Finding:
    """A claim with its effect in points, p-value (Holm over the table's claims) and verdict.

    commands: what fills the cells that it lacks · price: of that in seconds, operations: of that, None where
    nothing is known
    """

    claim: Claim | Exact
    verdict: Verdict
    effect: Estimate | None
    p_value: float | None
    why: str = ""
    commands: tuple[str, ...] = ()
    price: float | None = None
    operations: float | None = None


def findings(table: ResultsTable) -> list[Finding]:
    """The verdict on every claim of a table. Cells that are not complete leave their claims undecided."""
    effects = [_effect(table, claim) for claim in table.claims]
    raw = [_p_value(claim, effect) for claim, effect in zip(table.claims, effects, strict=True)]
    tested = [p for p in raw if p is not None]
    adjusted = iter(statistics.holm(tested))
    return [
        _finding(table, claim, effect, next(adjusted) if p is not None else None, len(tested))
        for claim, effect, p in zip(table.claims, effects, raw, strict=True)
    ]


def settled(claim: Exact) -> Finding:
    """An exact claim, counted or computed now."""
    shown = claim.shown()
    return Finding(
        claim, Verdict.PROVEN if shown.holds else Verdict.CONTRADICTED, None, None, f"exact: {shown.found}"
    )


def _effect(table: ResultsTable, claim: Claim) -> Estimate | None:
    """The contrast over the seeds that all its cells share; None while a cell is not complete."""
    total: dict[int, float] | None = None
    for sign, place in claim.contrast:
        cell = table.cell(*place)
        if not isinstance(cell, Measured) or cell.state.stage is not Stage.COMPLETE:
            return None
        by_seed = {seed: sign * value for seed, value in cell.by_seed.items()}
        total = (
            by_seed if total is None else {s: total[s] + by_seed[s] for s in total.keys() & by_seed.keys()}
        )
    return statistics.estimate([total[seed] for seed in sorted(total)]) if total else None


def _bound(claim: Claim) -> float:
    """What a claim that is not of zero must be above."""
    return -claim.margin if claim.expects == "no loss" else claim.margin


def _p_value(claim: Claim, effect: Estimate | None) -> float | None:
    """Two-sided against its bound, or for a claim of zero the larger of the two against the ends of the
    margin."""
    if effect is None:
        return None
    if claim.expects != "zero":
        return statistics.p_value(effect, _bound(claim))
    ends = [statistics.p_value(effect, end) for end in (-claim.margin, claim.margin)]
    return max((p for p in ends if p is not None), default=None)


def _finding(
    table: ResultsTable, claim: Claim, effect: Estimate | None, p: float | None, tests: int
) -> Finding:
    if claim.proof:
        return Finding(claim, Verdict.PROVEN, None, None, f"by {claim.proof}")
    if effect is None:
        lacking = list(_lacking(table, claim))
        runs = {tuple(spec.digest for spec in cell.measurement.specs): cell for cell in lacking}.values()
        return Finding(
            claim, Verdict.UNDECIDED, None, None, "not all its cells are complete",
            commands=tuple(sorted({cell.measurement.command for cell in lacking if cell.state.lacking})),
            price=total([cell.price for cell in runs]),
            operations=total([cell.operations for cell in runs]),
        )  # fmt: skip
    if p is None or effect.low is None or effect.high is None:
        return Finding(claim, Verdict.UNDECIDED, effect, None, "one seed: nothing to test with")
    significant = p < 1 - statistics.CONFIDENCE
    if claim.expects == "zero":
        distance = abs(abs(effect.mean) - claim.margin)
        supported = significant and abs(effect.mean) < claim.margin
        contradicted = abs(effect.mean) - _half_width(effect, tests) > claim.margin
    else:
        distance = abs(effect.mean - _bound(claim))
        supported = significant and effect.mean > _bound(claim)
        contradicted = significant and effect.mean < _bound(claim)
    if supported or contradicted:
        return Finding(claim, Verdict.SUPPORTED if supported else Verdict.CONTRADICTED, effect, p)
    return Finding(claim, Verdict.UNDECIDED, effect, p, _seeds_needed(effect, distance, tests))


def _lacking(table: ResultsTable, claim: Claim) -> Iterator[Measured | Missing]:
    """The cells of a claim that are not complete, each once: a claim may name one twice."""
    for place in dict.fromkeys(place for _, place in claim.contrast):
        cell = table.cell(*place)
        if isinstance(cell, Measured | Missing) and cell.state.stage is not Stage.COMPLETE:
            yield cell


def _half_width(effect: Estimate, tests: int) -> float:
    """Half the interval of an effect, wide enough that all of `tests` hold together (Bonferroni)."""
    confidence = 1 - (1 - statistics.CONFIDENCE) / tests
    return statistics.critical(effect.n - 1, confidence) * (effect.standard_error or 0.0)


def _seeds_needed(effect: Estimate, distance: float, tests: int) -> str:
    """How many more seeds would resolve `distance` at the spread seen, at Bonferroni's level."""
    if effect.standard_error is None or distance <= 0:
        return "no number of seeds would decide an effect this small"
    spread = effect.standard_error * math.sqrt(effect.n)
    confidence = 1 - (1 - statistics.CONFIDENCE) / tests
    for n in range(effect.n + 1, MOST + 1):
        if statistics.critical(n - 1, confidence) * spread / math.sqrt(n) < distance:
            more = "1 more seed" if n == effect.n + 1 else f"{n - effect.n} more seeds"
            return f"{more} would resolve a difference of {distance:.1f}"
    return f"more than {MOST} seeds would be needed"


__all__: Sequence[str] = ["Finding", "findings", "settled"]

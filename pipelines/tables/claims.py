"""Sentences of the paper as tests over the cells of a table.

A claim is a contrast of cells (`+ raw - permuted`), taken seed by seed, that should be positive or within a
margin of zero. At a smaller scale than the paper's it is the claims that are tested, never the values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from lab.errors import SpecError
from pipelines.tables import statistics
from pipelines.tables.cell import Measured, Stage
from pipelines.tables.statistics import Estimate
from pipelines.tables.table import Place, ResultsTable

Term = tuple[Literal[1, -1], Place]


class Verdict(StrEnum):
    """What the record says about a sentence, at the scale of the record."""

    PROVEN = "proven"
    """exact: it holds for every run there can be"""
    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Claim:
    """`contrast` is above zero ("positive"), or within `margin` points of it ("zero").

    A claim with a `proof`, the test that shows it for every run, needs no contrast and no runs.
    """

    sentence: str
    source: str
    contrast: tuple[Term, ...] = ()
    expects: Literal["positive", "zero"] = "positive"
    margin: float = 0.0
    proof: str = ""

    def __post_init__(self) -> None:
        if bool(self.contrast) == bool(self.proof):
            raise SpecError(
                f"a claim is tested on a contrast or has a proof: {self.sentence!r} has not one of them."
            )
        if (self.expects == "zero") != (self.margin > 0):
            raise SpecError(
                f"a claim of zero needs a margin above 0, a positive one has none: got {self.margin}."
            )


@dataclass(frozen=True)
class Finding:
    """A claim with its effect in points, p-value (Holm over the table's claims) and verdict."""

    claim: Claim
    verdict: Verdict
    effect: Estimate | None
    p_value: float | None
    why: str = ""


def findings(table: ResultsTable) -> list[Finding]:
    """The verdict on every claim of a table. Cells that are not complete leave their claims undecided."""
    effects = [_effect(table, claim) for claim in table.claims]
    raw = [_p_value(claim, effect) for claim, effect in zip(table.claims, effects, strict=True)]
    tested = [p for p in raw if p is not None]
    adjusted = iter(statistics.holm(tested))
    return [
        _finding(claim, effect, next(adjusted) if p is not None else None, len(tested))
        for claim, effect, p in zip(table.claims, effects, raw, strict=True)
    ]


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


def _p_value(claim: Claim, effect: Estimate | None) -> float | None:
    """Two-sided against zero, or for a claim of zero the larger of the two against the ends of the margin."""
    if effect is None:
        return None
    if claim.expects == "positive":
        return statistics.p_value(effect)
    ends = [statistics.p_value(effect, end) for end in (-claim.margin, claim.margin)]
    return max((p for p in ends if p is not None), default=None)


def _finding(claim: Claim, effect: Estimate | None, p: float | None, tests: int) -> Finding:
    if claim.proof:
        return Finding(claim, Verdict.PROVEN, None, None, f"by {claim.proof}")
    if effect is None:
        return Finding(claim, Verdict.UNDECIDED, None, None, "not all its cells are complete")
    if p is None or effect.low is None or effect.high is None:
        return Finding(claim, Verdict.UNDECIDED, effect, None, "one seed: nothing to test with")
    significant = p < 1 - statistics.CONFIDENCE
    if claim.expects == "positive":
        supported, contradicted = significant and effect.mean > 0, significant and effect.mean < 0
    else:
        supported = significant and abs(effect.mean) < claim.margin
        contradicted = abs(effect.mean) - _half_width(effect, tests) > claim.margin
    if supported or contradicted:
        return Finding(claim, Verdict.SUPPORTED if supported else Verdict.CONTRADICTED, effect, p)
    return Finding(
        claim,
        Verdict.UNDECIDED,
        effect,
        p,
        _seeds_needed(effect, abs(abs(effect.mean) - claim.margin), tests),
    )


def _half_width(effect: Estimate, tests: int) -> float:
    """Half the interval of an effect, wide enough that all of `tests` hold together (Bonferroni)."""
    confidence = 1 - (1 - statistics.CONFIDENCE) / tests
    return statistics.critical(effect.n - 1, confidence) * (effect.standard_error or 0.0)


def _seeds_needed(effect: Estimate, distance: float, tests: int, most: int = 1000) -> str:
    """How many more seeds would resolve `distance` at the spread seen, at Bonferroni's level."""
    if effect.standard_error is None or distance <= 0:
        return "no number of seeds would decide an effect this small"
    spread = effect.standard_error * math.sqrt(effect.n)
    confidence = 1 - (1 - statistics.CONFIDENCE) / tests
    for n in range(effect.n + 1, most + 1):
        if statistics.critical(n - 1, confidence) * spread / math.sqrt(n) < distance:
            more = "1 more seed" if n == effect.n + 1 else f"{n - effect.n} more seeds"
            return f"{more} would resolve a difference of {distance:.1f}"
    return f"more than {most} seeds would be needed"


def contrast(*terms: Sequence[str]) -> tuple[Term, ...]:
    """Terms written as ("+", row, column): `contrast(("+", "ViT", "raw"), ("-", "ViT", "permuted"))`."""
    return tuple((1 if sign == "+" else -1, (row, column)) for sign, row, column in terms)

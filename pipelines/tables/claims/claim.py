"""What is claimed: a sentence of the paper, where it stands there, and what it says of numbers.

A `Claim` is about runs: a contrast of cells (`+ raw - permuted`), taken seed by seed. An `Exact` claim is
about the network itself: it is counted or computed, and holds for every run there can be, or for none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from lab.errors import SpecError
from pipelines.tables.table import Place

Term = tuple[Literal[1, -1], Place]
Expectation = Literal["positive", "zero", "no loss"]


class Verdict(StrEnum):
    """What the record says about a sentence, at the scale of the record."""

    PROVEN = "proven"
    """exact: it holds for every run there can be"""
    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Claim:
    """`contrast` is above `margin` points ("positive"), within `margin` of zero ("zero"), or above minus
    `margin` ("no loss").

    sentence: in our words · source: where the paper says it · quote: in its own words, where we have them ·
    proof: a test that shows it for every run, in place of a contrast
    """

    sentence: str
    source: str
    contrast: tuple[Term, ...] = ()
    expects: Expectation = "positive"
    margin: float = 0.0
    proof: str = ""
    quote: str = ""

    def __post_init__(self) -> None:
        if bool(self.contrast) == bool(self.proof):
            raise SpecError(
                f"a claim is tested on a contrast or has a proof: {self.sentence!r} has not one of them."
            )
        if self.margin < 0 or (self.expects != "positive" and self.margin == 0):
            raise SpecError(
                f"a claim of zero or of no loss needs a margin above 0, a positive one 0 or more: "
                f"got {self.margin}."
            )

    @property
    def id(self) -> str:
        return slug(self.sentence)

    @property
    def expectation(self) -> str:
        """What the contrast should be, in words."""
        if self.expects == "zero":
            return f"within {self.margin:.1f} points of 0"
        bound = self.margin if self.expects == "positive" else -self.margin
        return f"above {bound:.1f} points".replace("-", "−") if bound else "above 0"


@dataclass(frozen=True)
class Shown:
    """What counting or computing came to."""

    holds: bool
    found: str


@dataclass(frozen=True)
class Exact:
    """A claim that `shown` settles without any run."""

    sentence: str
    source: str
    shown: Callable[[], Shown]
    quote: str = ""

    @property
    def id(self) -> str:
        return slug(self.sentence)


def contrast(*terms: Sequence[str]) -> tuple[Term, ...]:
    """Terms written as ("+", row, column): `contrast(("+", "ViT", "raw"), ("-", "ViT", "permuted"))`."""
    return tuple((1 if sign == "+" else -1, (row, column)) for sign, row, column in terms)


def slug(sentence: str) -> str:
    """The name of a claim in addresses: `permuting-the-pixels-hurts-the-vit`."""
    return re.sub(r"[^a-z0-9]+", "-", sentence.lower()).strip("-")

"""Which trials of a search are ended before their time, as values. Judged after every evaluation, by the
objective; `lab.tune` carries it out. What an ablation refers to is never pruned (`lab.search.needed`)."""

from __future__ import annotations

from dataclasses import dataclass

from lab.errors import SpecError, UnknownName


@dataclass(frozen=True)
class Asha:
    """Asynchronous successive halving (Li et al. 2020): after `grace` evaluations, and at every `reduction`
    times as many again, only the best 1/`reduction` go on."""

    grace: int = 1
    reduction: int = 3

    def __post_init__(self) -> None:
        _halving(self.grace, self.reduction)


@dataclass(frozen=True)
class Hyperband:
    """Asynchronous Hyperband: trials are spread over `brackets` of successive halving, each of which spares
    them `reduction` times as long as the one before, in case early values mislead."""

    grace: int = 1
    reduction: int = 3
    brackets: int = 3

    def __post_init__(self) -> None:
        _halving(self.grace, self.reduction)
        if self.brackets < 2:
            raise SpecError(f"Hyperband.brackets must be 2 or more (one is Asha), got {self.brackets}.")


@dataclass(frozen=True)
class Median:
    """A trial ends whose best value so far is below the median of the others' means up to there; not in its
    first `grace` evaluations, nor before `others` trials can be compared with."""

    grace: int = 1
    others: int = 3

    def __post_init__(self) -> None:
        if self.grace < 1 or self.others < 1:
            raise SpecError(f"Median.grace and others must be 1 or more, got {self.grace} and {self.others}.")


Pruning = Asha | Hyperband | Median

PRUNINGS: dict[str, type[Pruning] | None] = {
    "none": None,
    "asha": Asha,
    "hyperband": Hyperband,
    "median": Median,
}
"""by the name that a person types"""


def named(name: str) -> Pruning | None:
    """The pruning of that name with its defaults. Raises UnknownName with the near miss."""
    if name not in PRUNINGS:
        raise UnknownName.among("pruning", name, PRUNINGS)
    kind = PRUNINGS[name]
    return kind() if kind else None


def _halving(grace: int, reduction: int) -> None:
    if grace < 1 or reduction < 2:
        raise SpecError(
            f"pruning needs grace of 1 or more and reduction of 2 or more, got {grace}, {reduction}."
        )

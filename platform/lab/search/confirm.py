"""The winner's curse, met: the best of many is partly the luckiest, so it is run again on fresh seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab.errors import SpecError
from lab.spec import ExperimentSpec


@dataclass(frozen=True)
class Confirm:
    """The `best` configurations of a finished search are trained with each of `seeds`, none of which the
    search has chosen by."""

    best: int = 3
    seeds: tuple[int, ...] = (1, 2, 3)

    def __post_init__(self) -> None:
        if self.best < 1:
            raise SpecError(f"Confirm.best must be 1 or more, got {self.best}.")
        if len(self.seeds) < 2 or len(set(self.seeds)) < len(self.seeds):
            raise SpecError(f"Confirm.seeds must be two or more, all different, got {list(self.seeds)}.")

    def again(self, winners: Sequence[ExperimentSpec]) -> Iterator[tuple[int, ExperimentSpec]]:
        """(place of the winner, experiment), seed by seed, so that all winners can be compared early."""
        for seed in self.seeds:
            for place, winner in enumerate(winners):
                yield place, winner.override({"seed": seed})

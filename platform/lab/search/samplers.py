"""How a search chooses what to try, as values. `lab.search.suggest` carries it out."""

from __future__ import annotations

from dataclasses import dataclass

from lab.errors import SpecError, UnknownName


@dataclass(frozen=True)
class Random:
    """Every trial by itself."""


@dataclass(frozen=True)
class QuasiRandom:
    """The points of one scrambled Sobol sequence, which fill a space more evenly than random ones."""


@dataclass(frozen=True)
class Grid:
    """Every combination once, in an order that the search's seed shuffles.

    points: at most so many values of a range of numbers, evenly spaced between its ends."""

    points: int = 4

    def __post_init__(self) -> None:
        _at_least("Grid.points", self.points, 2)


@dataclass(frozen=True)
class Tpe:
    """Tree-structured Parzen estimators (Bergstra et al. 2011).

    startup: random trials before it models anything · candidates: of which the most promising is tried ·
    joint: models the axes that are asked together as one density, not each by itself"""

    startup: int = 10
    candidates: int = 24
    joint: bool = True

    def __post_init__(self) -> None:
        _at_least("Tpe.startup", self.startup, 1)
        _at_least("Tpe.candidates", self.candidates, 1)


@dataclass(frozen=True)
class GaussianProcess:
    """A Gaussian process with expected improvement. startup: random trials before it models anything."""

    startup: int = 10

    def __post_init__(self) -> None:
        _at_least("GaussianProcess.startup", self.startup, 1)


@dataclass(frozen=True)
class Nsga2:
    """The genetic algorithm NSGA-II (Deb et al. 2002), made for fronts. population: trials of a
    generation."""

    population: int = 12

    def __post_init__(self) -> None:
        _at_least("Nsga2.population", self.population, 2)


Sampler = Random | QuasiRandom | Grid | Tpe | GaussianProcess | Nsga2

SAMPLERS: dict[str, type[Sampler]] = {
    "tpe": Tpe,
    "gp": GaussianProcess,
    "random": Random,
    "grid": Grid,
    "quasi-random": QuasiRandom,
    "nsga2": Nsga2,
}
"""by the name that a person types"""


def named(name: str) -> Sampler:
    """The sampler of that name with its defaults. Raises UnknownName with the near miss."""
    if name not in SAMPLERS:
        raise UnknownName.among("sampler", name, SAMPLERS)
    return SAMPLERS[name]()


def name_of(sampler: Sampler) -> str:
    """`tpe`."""
    return next(name for name, kind in SAMPLERS.items() if type(sampler) is kind)


def _at_least(what: str, given: int, least: int) -> None:
    if given < least:
        raise SpecError(f"{what} must be {least} or more, got {given}.")

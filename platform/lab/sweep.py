"""What is compared with what: a base experiment and the ways it is changed.

An `Ablation` is finite and printable: every case is a base with named changes, every case is run once per
seed. A `Search` is a space that a sampler explores. The dotted path of a field is the axis, the Optuna
parameter, the MLflow parameter and the table column."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from lab.errors import SpecError, UnknownName
from lab.spec import ExperimentSpec

Changes = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """One row of an ablation: a label and what it changes in the base, without a seed of its own."""

    label: str
    spec: ExperimentSpec
    changes: Changes = field(default_factory=dict)

    def with_seed(self, seed: int) -> ExperimentSpec:
        """The experiment of this case that has `seed`."""
        return self.spec.override({"seed": seed})


@dataclass(frozen=True)
class Ablation:
    """Cases times seeds. Extending it (a case, a seed) leaves all finished work as it is."""

    name: str
    scale: str
    cases: tuple[Case, ...]
    seeds: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        labels = [case.label for case in self.cases]
        doubles = sorted({label for label in labels if labels.count(label) > 1})
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise SpecError(f"{self.name}: seeds must be one or more, all different, got {list(self.seeds)}.")
        if doubles:
            raise SpecError(
                f"{self.name}: every case needs a label of its own, {doubles} appear more than once."
            )

    def case(self, label: str) -> Case:
        """The case with that label. Raises UnknownName with the near miss."""
        for case in self.cases:
            if case.label == label:
                return case
        raise UnknownName.among(f"case in {self.name}", label, [case.label for case in self.cases])

    def specs(self) -> Iterator[tuple[Case, ExperimentSpec]]:
        """Every (case, seeded experiment), seed by seed so that a whole first row is there early."""
        for seed in self.seeds:
            for case in self.cases:
                yield case, case.with_seed(seed)


def grid(base: ExperimentSpec, axes: Mapping[str, Sequence[Any]]) -> tuple[Case, ...]:
    """The Cartesian product of the axes as cases, labelled `num_latents=16 bands=4` by the last part of each
    path."""
    short = [path.rpartition(".")[2] for path in axes]
    return tuple(
        Case(" ".join(f"{name}={value}" for name, value in zip(short, values, strict=True)),
             base.override(changes := dict(zip(axes, values, strict=True))), changes)
        for values in itertools.product(*axes.values())
    )  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """A size at which the paper's experiments are run: a function of the paper's experiment, with a name.

    A number measured at one scale never stands in for another's.
    """

    name: str
    shrink: Callable[[ExperimentSpec], ExperimentSpec]
    seeds: tuple[int, ...] = (0, 1, 2)
    caption: str = ""
    """what to print under every number of this scale"""

    def __call__(self, spec: ExperimentSpec) -> ExperimentSpec:
        """The paper's experiment at this scale."""
        return self.shrink(spec)


class Suggest(Protocol):
    """What a search space asks of a sampler. Names are dotted paths of the specification."""

    def choice(self, name: str, options: Sequence[Any]) -> Any:
        """One of the options."""

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """An integer in [low, high]."""

    def real(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number in [low, high]."""


@dataclass(frozen=True)
class Asha:
    """Asynchronous successive halving over evaluations: after `grace` of them only the best 1/`reduction` go
    on."""

    grace: int = 1
    reduction: int = 3


@dataclass(frozen=True)
class Search:
    """`trials` experiments drawn from a space around `base`, as a total: asking for more later runs only the
    rest.

    space: suggestions -> changes, run anew for every trial, so that one choice may decide which others are
    asked."""

    name: str
    scale: str
    base: ExperimentSpec
    space: Callable[[Suggest], Changes]
    objective: str = "validation/top1"
    direction: Literal["maximize", "minimize"] = "maximize"
    trials: int = 12
    sampler: Literal["tpe", "random", "quasi-random", "gp"] = "tpe"
    pruning: Asha | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise SpecError(f"{self.name}: trials must be 1 or more, got {self.trials}.")


Sweep = Ablation | Search

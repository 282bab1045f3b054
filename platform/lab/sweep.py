"""What is compared with what: a base experiment and the ways it is changed.

An `Ablation` is finite and printable: every case is a base with named changes, every case is run once per
seed. A `Search` is a space that a sampler explores. The dotted path of a field is the axis, the Optuna
parameter, the MLflow parameter and the table column."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from lab import codec
from lab.errors import SpecError, UnknownName
from lab.readings import Ambiguity, chosen, read
from lab.search.combinations import combinations, shuffled
from lab.search.confirm import Confirm
from lab.search.pruning import Pruning
from lab.search.samplers import GaussianProcess, Grid, Sampler, Tpe
from lab.search.space import Asking, Changes, Suggest, changes, first
from lab.spec import ExperimentSpec, digest_of


@dataclass(frozen=True)
class Case:
    """One row of an ablation: a label and what it changes in the base, without a seed of its own."""

    label: str
    spec: ExperimentSpec
    changes: Changes = field(default_factory=dict)

    def with_seed(self, seed: int) -> ExperimentSpec:
        """The experiment of this case that has `seed`."""
        seeded = replace(self.spec, seed=seed)
        # What all seeds share is encoded once: a table of thousands of runs states its specifications faster
        # than it reads them.
        seeded.__dict__["digest"] = digest_of({**self._encoded, "seed": seed})
        return seeded

    @cached_property
    def _encoded(self) -> dict[str, Any]:
        return dict(codec.encode(self.spec))


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
    ambiguities: Mapping[str, Ambiguity] = field(default_factory=dict)
    """what may be read in more than one way, by name"""

    def __call__(self, spec: ExperimentSpec) -> ExperimentSpec:
        """The paper's experiment at this scale."""
        return self.shrink(spec)

    def reading(self, asked: str) -> Scale:
        """The same scale with the paper read otherwise: `sharing=first_block_own` makes of `laptop` the scale
        `laptop/sharing:first_block_own`. Asking for what is stated changes nothing. Raises UnknownName."""
        choices = chosen(asked, self.ambiguities)
        otherwise = read(choices, self.ambiguities)
        name = "/".join([self.name, *(f"{name}:{reading}" for name, reading in choices.items())])
        return replace(self, name=name, shrink=lambda spec: self.shrink(otherwise(spec)))


COUNTS = ("flops", "parameters")
"""costs that follow from the model"""


@dataclass(frozen=True)
class Search:
    """`trials` experiments drawn from a space around `base`, as a total: asking for more later runs only the
    rest.

    space: suggestions -> changes, run anew for every trial, so that one choice may decide which others are
    asked · costs: what is kept small beside the objective, for a front and no single best: `flops` or
    `parameters` of the model, or a metric as `pace/peak_memory_bytes` · warm: sweeps whose finished runs it
    begins with, as if it had tried them · confirm: what is run on fresh seeds when all trials have ended"""

    name: str
    scale: str
    base: ExperimentSpec
    space: Callable[[Suggest], Changes]
    objective: str = "validation/top1"
    direction: Literal["maximize", "minimize"] = "maximize"
    trials: int = 12
    sampler: Sampler = Tpe()
    pruning: Pruning | None = None
    seed: int = 0
    costs: tuple[str, ...] = ()
    warm: tuple[str, ...] = ()
    confirm: Confirm | None = None

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise SpecError(f"{self.name}: trials must be 1 or more, got {self.trials}.")
        for cost in self.costs:
            if cost not in COUNTS and "/" not in cost:
                raise UnknownName.among("cost", cost, COUNTS, hint=" A metric has a slash in its name.")
        if self.costs and self.pruning:
            raise SpecError(
                f"{self.name}: a search for a front cannot be pruned, since pruning judges by one value: "
                "leave out pruning or costs."
            )
        if self.costs and isinstance(self.sampler, GaussianProcess) and len(self.costs) > 3:
            raise SpecError(f"{self.name}: a Gaussian process takes up to 3 costs, got {len(self.costs)}.")
        if self.confirm and self.base.seed in self.confirm.seeds:
            raise SpecError(
                f"{self.name}: seed {self.base.seed} is what the search chooses by: confirm with others."
            )
        changes(self.space, self.base, Asking(self.base, first))

    @property
    def directions(self) -> list[str]:
        """Of the objective and of every cost."""
        return [self.direction, *("minimize" for _ in self.costs)]

    @cached_property
    def combinations(self) -> tuple[Mapping[str, Any], ...]:
        """What a grid tries, in its order. Raises SpecError for a space too large."""
        points = self.sampler.points if isinstance(self.sampler, Grid) else Grid().points
        return shuffled(combinations(self.space, self.base, points), self.seed)

    @property
    def total(self) -> int:
        """The trials that there will be: a grid ends when it is through."""
        return min(self.trials, len(self.combinations)) if isinstance(self.sampler, Grid) else self.trials

    @property
    def settings(self) -> str:
        """All that its suggestions depend on besides its space and what it has seen, as canonical JSON."""
        said = {name: codec.encode(getattr(self, name)) for name in ("sampler", "seed", "objective")}
        said |= {"base": self.base.digest, "directions": self.directions}
        said |= {"costs": [*self.costs], "warm": [*self.warm]}
        return json.dumps(said, sort_keys=True, separators=(",", ":"))

    @property
    def identity(self) -> str:
        """Names its sequence of suggestions: 12 hex digits. With another base, sampler or seed it is begun
        anew, and what both have tried is trained once."""
        return hashlib.sha256(self.settings.encode()).hexdigest()[:12]


Sweep = Ablation | Search

"""What a search may ask for: axes, named by the dotted paths of the specification.

A space is a function that asks for one value after another, so that one answer decides what is asked next.
What cannot be combined is then never asked: nothing is drawn and thrown away."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lab import codec
from lab.errors import SpecError, did_you_mean
from lab.spec import ExperimentSpec

Changes = Mapping[str, Any]
PLAIN = (str, int, float, bool, type(None))
"""options that a sampler takes as they are; others go by their index"""
GIVEN = "|"
"""between a path and what its options depend on"""


class Suggest(Protocol):
    """What a space asks of a sampler. Names are dotted paths of the specification.

    given: the earlier answer that the options depend on. Each such set of options is an axis of its own to
    the sampler, since a third of one is no third of another."""

    def choice(self, name: str, options: Sequence[Any], *, given: object = None) -> Any:
        """One of the options."""

    def integer(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False, given: object = None
    ) -> int:
        """An integer in [low, high]."""

    def real(self, name: str, low: float, high: float, *, log: bool = False, given: object = None) -> float:
        """A number in [low, high]."""


@dataclass(frozen=True)
class Options:
    """An axis of things to choose from."""

    values: tuple[Any, ...]

    @property
    def keys(self) -> tuple[Any, ...]:
        """What stands for the options in the record: themselves, or indices where they are no plain
        values."""
        return (
            self.values if all(isinstance(v, PLAIN) for v in self.values) else tuple(range(len(self.values)))
        )

    def value(self, key: Any) -> Any:
        return self.values[self.keys.index(key)]

    def key(self, value: Any) -> Any:
        """Raises ValueError for what is no option."""
        return self.keys[self.values.index(value)]


@dataclass(frozen=True)
class Integers:
    """An axis of whole numbers."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    def value(self, key: Any) -> int:
        return int(key)

    def key(self, value: Any) -> int:
        """Raises ValueError for what is not on the axis."""
        if isinstance(value, bool) or value not in range(self.low, self.high + 1, self.step):
            raise ValueError(f"{value!r} is no step from {self.low} to {self.high}")
        return int(value)


@dataclass(frozen=True)
class Reals:
    """An axis of numbers."""

    low: float
    high: float
    log: bool = False

    def value(self, key: Any) -> float:
        return float(key)

    def key(self, value: Any) -> float:
        """Raises ValueError for what is not on the axis."""
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            raise ValueError(f"{value!r} is not from {self.low} to {self.high}")
        return float(value)


Axis = Options | Integers | Reals
Answer = Callable[[str, Axis], Any]
"""(name, axis) -> the key of what is chosen"""


class Asking:
    """`Suggest` by a function that answers. Raises SpecError for a name that is no field of the base."""

    def __init__(self, base: ExperimentSpec, answer: Answer) -> None:
        self._base, self._answer = base, answer
        self.asked: dict[str, Any] = {}
        """name -> key, in the order asked"""

    def choice(self, name: str, options: Sequence[Any], *, given: object = None) -> Any:
        if not options:
            raise SpecError(f"{name}: a choice needs an option or more, got none.")
        return self._ask(name, Options(tuple(options)), given)

    def integer(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False, given: object = None
    ) -> int:
        return int(self._ask(name, Integers(low, high, step, log), given))

    def real(self, name: str, low: float, high: float, *, log: bool = False, given: object = None) -> float:
        return float(self._ask(name, Reals(low, high, log), given))

    def _ask(self, name: str, axis: Axis, given: object) -> Any:
        require_field(self._base, name, {path_of(asked) for asked in self.asked})
        name = name if given is None else f"{name}{GIVEN}{given}"
        key = self._answer(name, axis)
        self.asked[name] = key
        return axis.value(key)


def path_of(name: str) -> str:
    """The field that an axis is of."""
    return name.partition(GIVEN)[0]


def changes(space: Callable[[Suggest], Changes], base: ExperimentSpec, asking: Asking) -> Changes:
    """What the space makes of the answers. Raises SpecError where it changes what is no field of the base."""
    made = space(asking)
    for path in made:
        require_field(base, path, {*made} - {path})
    return made


def require_field(base: ExperimentSpec, name: str, replaced: set[str]) -> None:
    """Raise SpecError, with the near miss, unless the axis is a field of the base, or may be one of a part
    that is replaced. The seed is none: fresh ones confirm what a search has found."""
    path = path_of(name)
    if path == "seed":
        raise SpecError("a search cannot choose the seed: it would find the luckiest one.")
    parts = path.split(".")
    if any(".".join(parts[:end]) in replaced for end in range(1, len(parts))):
        return
    if not _is_field(base, parts):
        near = did_you_mean(path, [known for known in codec.flatten(base) if known != "seed"])
        raise SpecError(f"a search asks for {path!r}, which is no field of its base.{near}")


def _is_field(owner: Any, parts: Sequence[str]) -> bool:
    for part in parts:
        if not dataclasses.is_dataclass(owner) or part not in {f.name for f in dataclasses.fields(owner)}:
            return False
        owner = getattr(owner, part)
    return True


def first(name: str, axis: Axis) -> Any:
    """The answer that chooses the first of everything."""
    return axis.keys[0] if isinstance(axis, Options) else axis.low

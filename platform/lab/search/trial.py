"""One suggestion of a search and what became of it, as it is recorded."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self

Outcome = Literal["running", "complete", "pruned", "failed"]


@dataclass(frozen=True)
class Trial:
    """One suggestion and what became of it."""

    number: int
    params: Mapping[str, Any]
    """axis -> what the sampler chose, an index for options that are no plain values"""
    ranges: Mapping[str, str]
    """axis -> Optuna's JSON of where it chose from"""
    seen: tuple[int, ...]
    """the trials that had ended when this one was suggested"""
    digest: str = ""
    """its experiment; empty where the suggestion makes none"""
    outcome: Outcome = "running"
    value: float | None = None
    intermediate: Mapping[int, float] = field(default_factory=dict)
    """step -> objective, for a pruned trial"""
    costs: tuple[float, ...] = ()
    """those of a Pareto search, in its order"""
    system: Mapping[str, Any] = field(default_factory=dict)
    """what the sampler noted of it: a genetic algorithm its generation"""

    def ended(
        self,
        outcome: Outcome,
        value: float | None = None,
        intermediate: Mapping[int, float] | None = None,
        costs: Sequence[float] = (),
    ) -> Self:
        """The trial with its result. A value or a cost that is no number makes it a failed one."""
        if outcome == "complete" and any(known is None or math.isnan(known) for known in (value, *costs)):
            outcome, value, costs = "failed", None, ()
        return replace(
            self, outcome=outcome, value=value, intermediate=dict(intermediate or {}), costs=tuple(costs)
        )

    def unseen(self) -> Self:
        """The trial as it looked while it ran."""
        return replace(self, outcome="running", value=None, intermediate={}, costs=())

    def to_json(self) -> str:
        said = asdict(self) | {"seen": ranges_of(self.seen)}
        said = {name: value for name, value in said.items() if value or name not in ("costs", "system")}
        return json.dumps(said, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        data = json.loads(text)
        data["seen"] = numbers_of(data["seen"])
        data["intermediate"] = {int(step): value for step, value in data["intermediate"].items()}
        data["costs"] = tuple(data.get("costs", ()))
        return cls(**data)


def ranges_of(numbers: Sequence[int]) -> str:
    """`0-4,6` for 0, 1, 2, 3, 4, 6."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in parts)


def numbers_of(text: str) -> tuple[int, ...]:
    """The way back from `ranges_of`."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        low, _, high = part.partition("-")
        found += range(int(low), int(high or low) + 1)
    return tuple(found)

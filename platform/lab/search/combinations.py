"""Every combination of a space: each branch of its conditions, once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from lab.errors import SpecError
from lab.search.space import Asking, Axis, Changes, Integers, Options, Suggest, changes
from lab.spec import ExperimentSpec

MOST = 100_000

Combination = dict[str, Any]
"""axis -> key"""


def combinations(
    space: Callable[[Suggest], Changes], base: ExperimentSpec, points: int
) -> Iterator[Combination]:
    """The combinations in the order of an odometer. points: at most so many values of a range of numbers.

    Raises SpecError where there are more than `MOST`."""
    turn: list[int] = []
    for _ in range(MOST):
        wheels: list[int] = []

        def answer(name: str, axis: Axis, turn: list[int] = turn, wheels: list[int] = wheels) -> Any:
            keys = on(axis, points)
            wheels.append(len(keys))
            place = turn[len(wheels) - 1] if len(wheels) <= len(turn) else 0
            return keys[place]

        asking = Asking(base, answer)
        changes(space, base, asking)
        yield asking.asked
        turn = [*turn, *[0] * (len(wheels) - len(turn))]
        while turn and turn[-1] + 1 == wheels[len(turn) - 1]:
            turn.pop()
        if not turn:
            return
        turn = [*turn[:-1], turn[-1] + 1]
    raise SpecError(f"a grid of more than {MOST:,} combinations: give the axes fewer values, or sample.")


def shuffled(found: Iterator[Combination], seed: int) -> tuple[Combination, ...]:
    """The combinations in an order of their own for every seed: the first few are from all over."""
    order = list(found)
    random.Random(seed).shuffle(order)  # noqa: S311 (no secret)
    return tuple(order)


def on(axis: Axis, points: int) -> list[Any]:
    """The keys of an axis that a grid tries."""
    if isinstance(axis, Options):
        return list(axis.keys)
    if isinstance(axis, Integers):
        every = range(axis.low, axis.high + 1, axis.step)
        if len(every) <= points:
            return list(every)
        if not axis.log:
            return sorted({every[round(share * (len(every) - 1))] for share in _shares(points)})
    spread = [axis.low * (axis.high / axis.low) ** s if axis.log else axis.low + s * (axis.high - axis.low)
              for s in _shares(points)]  # fmt: skip
    inside = [min(max(value, axis.low), axis.high) for value in spread]
    return sorted({round(value) for value in inside}) if isinstance(axis, Integers) else inside


def _shares(points: int) -> list[float]:
    return [n / (points - 1) for n in range(points)]

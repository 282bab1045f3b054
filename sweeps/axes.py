"""Axes of the paper at other scales: a size keeps the proportion to its base that the paper's has."""

from __future__ import annotations

from fractions import Fraction

from lab.errors import SpecError


def in_proportion(value: int, base: int, here: int) -> int:
    """What `value` is beside `here`, where the paper has it beside `base`: of 256, 512 and 24 it is 12.

    Raises SpecError where that is no whole number: rounded, two values of an axis could become one.
    """
    size = Fraction(value * here, base)
    if size.denominator > 1 or size < 1:
        raise SpecError(f"{value} beside {base} has no whole number beside {here}: change the base, {here}.")
    return int(size)

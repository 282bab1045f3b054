"""Student's t: how far a mean of few values may be from the truth."""

from __future__ import annotations

import math
from functools import cache

CONFIDENCE = 0.95
"""Of every interval that is printed; 1 - CONFIDENCE is the level of every test."""


def central(t: float, degrees: int) -> float:
    """P(|T| < t) of Student's t for whole degrees of freedom, exact to rounding (the series of Abramowitz and
    Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan2(t, math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    terms = [term] if degrees > 1 else []
    for k in range(2 + odd, degrees - 1, 2):
        term *= cosine**2 * (k - 1) / k
        terms.append(term)
    series = sine * math.fsum(terms)
    return 2 / math.pi * (angle + series) if odd else series


@cache
def critical(degrees: int, confidence: float = CONFIDENCE) -> float:
    """The t that |T| stays below with probability `confidence`, by bisection to the last bit."""
    low, high = 0.0, 1.0
    while central(high, degrees) < confidence:
        high *= 2
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if central(middle, degrees) < confidence else (low, middle)
    return high

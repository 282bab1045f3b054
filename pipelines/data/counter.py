"""Randomness as a function: hash what a number is for, get the number.

Draws keyed by (seed, epoch, example) are the same on any worker, in any thread and after any resume, which
a generator with state cannot promise. The hash is splitmix64 (Steele, Lea, Flood 2014), whose output is
fixed by its definition: unlike numpy's `Generator.permutation` it never changes with a library.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def splitmix64(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The outputs of splitmix64 generators in the given states, elementwise."""
    z = state + np.uint64(_GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def key(*words: int) -> int:
    """One 64-bit key for a sequence of integers; the order of the words matters."""
    state = 0
    for word in words:
        state = _finished(((state ^ (word & _MASK)) + _GOLDEN) & _MASK)
    return state


def hashes(of: int, counters: NDArray[np.int64]) -> NDArray[np.uint64]:
    """One 64-bit hash per counter under a key; any shape."""
    return splitmix64(counters.astype(np.uint64) * np.uint64(_GOLDEN) + np.uint64(of))


def permutation(of: int, size: int) -> NDArray[np.int64]:
    """The permutation of range(size) that belongs to a key."""
    return np.argsort(hashes(of, np.arange(size)), kind="stable")


@dataclass
class Draws:
    """The uniform numbers of one example in one epoch, taken one after the other."""

    key: int
    taken: int = 0

    @classmethod
    def of(cls, seed: int, epoch: int, example: int) -> Draws:
        return cls(key(seed, epoch, example))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self._next() / 2**64

    def integer(self, low: int, high: int) -> int:
        """An integer in [low, high]."""
        return low + self._next() * (high - low + 1) // 2**64

    def _next(self) -> int:
        self.taken += 1
        return _finished((self.key + _GOLDEN * self.taken) & _MASK)


def _finished(z: int) -> int:
    """splitmix64's output function in plain integers: for a single number numpy costs ten times as much."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK
    return z ^ (z >> 31)

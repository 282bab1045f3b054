"""A hard stop: nothing is begun whose upper estimate would pass the budget, and what passes it is stopped."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from lab.errors import SpecError
from lab.forecast import Range
from lab.resources import Resources
from lab.spec import ExperimentSpec

UNITS = {"min": 60.0, "h": 3600.0, "d": 86400.0}
FORM = re.compile(r"([0-9]*\.?[0-9]+)\s*([A-Za-z]+)")

Price = Callable[[ExperimentSpec], Range | None]
"""seconds that a run will take, None where nothing is known"""


@dataclass(frozen=True)
class Budget:
    """What one command may take. seconds: by the clock, or of all devices together (`of_devices`), where a
    device is a GPU, or a worker that has none · unit: in which it was given · worth: seconds in one of it"""

    words: str
    seconds: float
    of_devices: bool
    unit: str
    worth: float

    @classmethod
    def parse(cls, words: str, rate: float | None = None) -> Self:
        """`4h` by the clock, `20GPUh` of devices, `10USD` at a rate for an hour of one. Raises SpecError."""
        form = FORM.fullmatch(words.strip())
        amount, unit = (float(form[1]), form[2]) if form else (0.0, "")
        if amount > 0 and unit in UNITS:
            return cls(words, amount * UNITS[unit], False, unit, UNITS[unit])
        if amount > 0 and unit in {"GPUh", "workerh"}:
            return cls(words, amount * UNITS["h"], True, unit, UNITS["h"])
        if amount > 0 and len(unit) == 3 and unit.isupper():
            if not rate:
                raise SpecError(f"a budget of {words} needs the price of an hour of one GPU: add --rate.")
            worth = UNITS["h"] / rate
            return cls(words, amount * worth, True, unit, worth)
        raise SpecError(
            f"--budget is a time (4h, 30min), device-hours (20GPUh) or money (10USD), got {words!r}."
        )

    def large_enough(self, seconds: float) -> Self:
        """One in the same unit that holds so many seconds, rounded up to two digits."""
        amount = max(seconds, 1.0) / self.worth
        digit = 10.0 ** (math.floor(math.log10(amount)) - 1)
        amount = math.ceil(amount / digit) * digit
        return replace(self, words=f"{amount:g}{self.unit}", seconds=amount * self.worth)


def devices(resources: Resources) -> float:
    """That one run holds: GPUs, or workers where they have none."""
    return resources.workers * (resources.gpus or 1)


class Purse:
    """What a command has left of its budget. A run is promised what it may take, begins, and ends; only what
    lies between the two is spent."""

    def __init__(
        self, budget: Budget, price: Price, resources: Resources, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.budget, self.price, self.now = budget, price, now
        self._each = devices(resources) if budget.of_devices else 1.0
        self._of_a_worker = self._each / resources.workers if budget.of_devices else 0.0
        self._begun, self._spent = now(), 0.0
        self.denied: set[str] = set()
        """digests that it did not afford when it was last asked"""
        self._promised: dict[str, float] = {}
        self._running: dict[str, tuple[float, float]] = {}

    def affords(self, spec: ExperimentSpec) -> bool:
        """Whether the budget holds even if this run, and all that are promised or at work, take as long as
        they may; that is promised to it then. Asked again before it begins, it is reckoned anew. What cannot
        be priced is not afforded."""
        self.release(spec.digest)
        self.denied.discard(spec.digest)
        if spec.digest in self._running:
            return True  # nothing is run twice
        price = self.price(spec)
        if price is None or self._committed() + price.high * self._each > self.budget.seconds:
            self.denied.add(spec.digest)
            return False
        self._promised[spec.digest] = price.high
        return True

    def release(self, digest: str) -> None:
        """Take back what was promised to a run that is not to begin now."""
        self._promised.pop(digest, None)

    def begin(self, digest: str, ago: float = 0.0) -> None:
        """A run that was afforded has been under way for so many seconds. Said again it changes nothing."""
        if digest in self._promised:
            self._running[digest] = (self.now() - ago, self._promised.pop(digest))

    def end(self, digest: str) -> None:
        """A run is not at work any more, whether or not it ever was."""
        self.release(digest)
        if digest in self._running:
            begun, _ = self._running.pop(digest)
            self._spent += (self.now() - begun) * self._each

    def charge(self, seconds: float) -> None:
        """One worker's devices were held for so long by what is no run, as a probe is."""
        self._spent += seconds * self._of_a_worker

    @property
    def empty(self) -> bool:
        """Whether the budget is used up: what is at work must stop."""
        return self.spent > self.budget.seconds

    @property
    def spent(self) -> float:
        """Seconds, of the kind that the budget counts."""
        if not self.budget.of_devices:
            return self.now() - self._begun
        return self._spent + sum((self.now() - begun) * self._each for begun, _ in self._running.values())

    def _committed(self) -> float:
        """What will have been spent, at most, when those have ended that are at work or promised. By the
        clock a run that begins now does not wait for them."""
        if not self.budget.of_devices:
            return self.spent
        at_work = (max(high, self.now() - begun) for begun, high in self._running.values())
        return self._spent + self._each * (sum(at_work) + sum(self._promised.values()))


def spent_all(purse: Purse | None) -> bool:
    """Whether there is a budget, and it is used up."""
    return purse is not None and purse.empty

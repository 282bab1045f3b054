"""`--budget`: what a command may take, and the command that goes on where that was not enough."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from lab.budget import Budget, Purse, devices
from lab.pricing import Pricing
from lab.resources import Resources
from lab.settings import Settings
from lab.sweep import Sweep
from lab.tally import span
from lab.tracking.tracker import Tracker

FLAG = "--budget"


@dataclass(frozen=True)
class Budgeted:
    """A command with a budget. pricing: by which the purse reckons"""

    purse: Purse
    pricing: Pricing
    resources: Resources

    @classmethod
    def of(
        cls, arguments: argparse.Namespace, tracker: Tracker, settings: Settings, resources: Resources
    ) -> Self | None:
        """None where there is no limit. What has no run on record is probed for its price. Raises
        SpecError."""
        if not arguments.budget:
            return None
        pricing = Pricing(tracker, settings, resources, probing=True, say=print)
        purse = Purse(Budget.parse(arguments.budget, arguments.rate), pricing.price, resources)
        pricing.charge = purse.charge
        return cls(purse, pricing, resources)

    def continuation(self, sweep: Sweep, words: Sequence[str]) -> Iterator[str]:
        """What the budget has left to do, what that may take, and the command that does it, if anything is
        left. words: of the command that has just been."""
        if not self.purse.denied and not self.purse.empty:
            return
        from lab.commands.plan import at_once, planned

        self.pricing.probing = False  # it takes nothing any more
        self.pricing.forget()
        items = [item for item in planned(sweep, self.pricing) if item.todo]
        todo = sum(item.todo for item in items)
        if not todo:
            return
        runs = f"{todo} run{'s are' if todo > 1 else ' is'} left"
        highs = [item.each.seconds.high * item.todo for item in items if item.each.seconds is not None]
        if len(highs) < len(items):
            twice = self.purse.budget.large_enough(2 * self.purse.budget.seconds).words
            yield f"{sweep.name}: {runs}, not all with a price (`lab plan --probe` measures one). To go on:"
            yield f"  {command(words, twice)}"
            return
        if self.purse.budget.of_devices:
            needed = sum(highs) * devices(self.resources)
        else:  # side by side, and the last one at work alone
            longest = max(item.each.seconds.high for item in items if item.each.seconds is not None)
            lanes = at_once(self.resources)
            needed = sum(highs) / lanes + longest * (1 - 1 / lanes)
        yield f"{sweep.name}: {runs}, which may take {span(sum(highs))} in all. This does what is left:"
        yield f"  {command(words, self.purse.budget.large_enough(needed).words)}"


def command(words: Sequence[str], budget: str) -> str:
    """The same command with another budget, as it is typed."""
    kept = list[str]()
    rest = iter(words)
    for word in rest:
        flag, given, _ = word.partition("=")
        if flag.startswith("--b") and FLAG.startswith(flag):
            if not given:
                next(rest, None)
        else:
            kept.append(word)
    return shlex.join(["lab", *kept, FLAG, budget])

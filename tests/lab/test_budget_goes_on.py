"""What a budget left out comes with the command that does it."""

from __future__ import annotations

import argparse

import pytest

from lab import Ablation, Resources, Settings
from lab.budget import Budget, Purse
from lab.commands.budgeting import Budgeted, command
from lab.forecast import operations
from lab.pricing import Pricing
from lab.probe import Probe
from lab.sweep import Case
from lab.tracking.memory import MemoryTracker
from lab.tracking.tracker import Status
from tests.lab.toy import SIZES, toy_spec

SECONDS = 800.0
"""that a toy takes"""
TOYS = Ablation("toys", "laptop", (Case("toy", toy_spec()),), seeds=(0, 1, 2, 3))
WORDS = ["sweep", "toys", "--budget", "1min"]


def budgeted(words: str, *done: int, concurrent: int = 1, workers: int = 1) -> Budgeted:
    """A command that may take so much, after the runs of these seeds."""
    tracker, resources = MemoryTracker(), Resources(workers=workers, concurrent=concurrent)
    speed = operations(toy_spec(), SIZES) / SECONDS / 1e12 / workers
    pricing = Pricing(tracker, Settings("", "", "", data=""), resources, sustained=speed)
    purse = Purse(Budget.parse(words), pricing.price, resources)
    for _, spec in TOYS.specs():
        if not purse.affords(spec):
            break
    pricing.forget()
    for seed in done:
        run = tracker.begin(TOYS.cases[0].with_seed(seed), name="toy", owner="here:1:0", tags={})
        tracker.end(run.run_id, Status.COMPLETE)
    return Budgeted(purse, pricing, resources)


@pytest.mark.parametrize(
    "words",
    [["sweep", "table6", "--budget", "4h", "--seeds", "0,1"],
     ["sweep", "table6", "--budget=4h", "--seeds", "0,1"],
     ["sweep", "table6", "--bud", "4h", "--seeds", "0,1"]],
)  # fmt: skip
def test_the_command_that_goes_on_is_the_same_with_another_budget(words: list[str]) -> None:
    assert command(words, "9h") == "lab sweep table6 --seeds 0,1 --budget 9h"


def test_a_name_with_spaces_is_quoted_in_the_command_that_goes_on() -> None:
    assert command(["fill", "table6 / 8 at start / top1"], "9h") == (
        "lab fill 'table6 / 8 at start / top1' --budget 9h"
    )


def test_a_command_whose_budget_was_enough_has_nothing_to_go_on_with() -> None:
    assert list(budgeted("1h").continuation(TOYS, WORDS)) == []


def test_a_command_that_has_done_all_in_the_end_has_nothing_to_go_on_with() -> None:
    assert list(budgeted("1min", 0, 1, 2, 3).continuation(TOYS, WORDS)) == []


@pytest.mark.parametrize(
    ("budget", "concurrent", "workers", "enough"),
    [("1min", 1, 1, "54min"), ("1min", 2, 1, "34min"), ("0.1GPUh", 1, 2, "1.8GPUh"),
     ("0.001d", 1, 1, "0.038d")],
)  # fmt: skip
def test_what_is_left_is_said_with_a_budget_that_holds_all_of_it(
    budget: str, concurrent: int, workers: int, enough: str
) -> None:
    """Four toys of 800 s: one after the other 53.3 minutes; two side by side 26.7, and up to half of one
    more where they do not come out even; on two workers each 1.78 hours of devices."""
    said, goes_on = budgeted(budget, concurrent=concurrent, workers=workers).continuation(TOYS, WORDS)
    assert said == "toys: 4 runs are left, which may take 53m20s in all. This does what is left:"
    assert goes_on == f"  lab sweep toys --budget {enough}"


def test_what_a_budget_has_probed_it_has_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100, 1000, 7))
    monkeypatch.setattr("lab.pricing.probe", lambda *asked: Probe((0.1, 0.1), 1e6))
    monkeypatch.setattr("lab.pricing.time.monotonic", lambda: float(next(clock)))
    arguments = argparse.Namespace(budget="20GPUh", rate=None)
    settings, tracker = Settings("", "", "", data=""), MemoryTracker()
    made = Budgeted.of(arguments, tracker, settings, Resources(workers=2, gpus=3))
    assert made is not None
    assert made.purse.affords(toy_spec())
    assert made.purse.spent == 3 * 7


def test_one_run_that_is_left_is_said_so() -> None:
    said, _ = budgeted("1min", 0, 1, 3).continuation(TOYS, WORDS)
    assert said.startswith("toys: 1 run is left, which may take ")

"""Schedules at the points the paper and the official script name."""

import pytest

from lab import Constant, CosineAfter, Epochs, StepDecay, Steps
from lab.optim.schedules import factor

IMAGENET = {"total_steps": 120 * 1251, "steps_per_epoch": 1251}


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [(0, 1), (83, 1), (84, 0.1), (101, 0.1), (102, 0.01), (113, 0.01), (114, 0.001), (119, 0.001)],
)
def test_the_papers_decay_falls_tenfold_at_epochs_84_102_and_114(epoch, expected):
    assert factor(StepDecay(), epoch * 1251, **IMAGENET) == pytest.approx(expected)


def test_the_decay_begins_with_the_first_step_of_its_epoch():
    assert factor(StepDecay(), 84 * 1251 - 1, **IMAGENET) == 1
    assert factor(StepDecay((Steps(10),), 0.5), 9, **IMAGENET) == 1
    assert factor(StepDecay((Steps(10),), 0.5), 10, **IMAGENET) == 0.5


def test_constant_is_one_throughout():
    assert {factor(Constant(), step, total_steps=9, steps_per_epoch=3) for step in range(9)} == {1.0}


@pytest.mark.parametrize(("step", "expected"), [(0, 1), (50, 1), (75, 0.5), (100, 0)])
def test_cosine_is_flat_for_half_the_run_then_falls_to_zero(step, expected):
    assert factor(CosineAfter(), step, total_steps=100, steps_per_epoch=10) == pytest.approx(expected)


def test_a_fraction_of_an_epoch_counts_in_steps():
    assert factor(StepDecay((Epochs(0.5),), 0.1), 5, total_steps=20, steps_per_epoch=10) == pytest.approx(0.1)

"""A trial whose process dies again and again: given up where it stands still, and only there."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lab import Resources, Settings
from lab.crashes import Crashes
from lab.train.checkpoint import Checkpoint, CheckpointStore
from lab.trial import Work
from tests.lab.toy import toy_spec


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(toy_spec(), None, Resources(), Settings("", "", str(tmp_path), ""), None)  # type: ignore[arg-type]


def save(work: Work, step: int) -> None:
    weights = {"w": torch.ones(1)}
    CheckpointStore(work.settings.storage, work.spec.digest).save(Checkpoint(step, weights, {}))


def test_a_trial_that_dies_without_a_step_saved_is_given_up_at_the_third_time(work: Work) -> None:
    crashes = Crashes()
    assert [crashes.too_many(work) for _ in range(3)] == [False, False, True]


def test_a_trial_that_gets_on_between_its_deaths_is_started_again_as_often_as_it_takes(work: Work) -> None:
    crashes = Crashes()
    for step in range(20):
        save(work, step)
        assert not crashes.too_many(work)
    assert [crashes.too_many(work) for _ in range(2)] == [False, True], "until it stands still"


def test_trials_are_counted_each_for_itself(work: Work) -> None:
    crashes, other = Crashes(), replace(work, spec=toy_spec(seed=1))
    assert [crashes.too_many(each) for each in (work, other, work, other)] == [False] * 4

"""What a run spends its time on."""

import pytest
import torch

from lab.train.loop import Stepped
from lab.train.pace import Pace
from tests.lab.toy import ToyModel, toy_spec


def stepped(number, *, waited=0.0, talked=0.0):
    return Stepped(number, 100, torch.tensor(0.5), 0.01, waited, talked)


def paced(monkeypatch, seconds, **spent):
    """The values of four steps that take so long each."""
    clock = [100.0]
    monkeypatch.setattr("lab.train.pace.perf_counter", lambda: clock[0])
    pace = Pace(toy_spec(batch_size=16))
    for number in range(1, 5):
        clock[0] += seconds
        pace.enter(stepped(number, **spent))
    return pace, clock


def test_the_rate_is_examples_over_seconds_and_operations_are_three_forward_passes(monkeypatch):
    """16 examples in half a second; the model's count is 2 * 8 * (6 + 16 + 3) operations an example."""
    found = paced(monkeypatch, 0.5)[0].values()
    assert found["pace/examples_per_second"] == pytest.approx(32)
    assert found["pace/step_seconds"] == pytest.approx(0.5)
    assert found["pace/flops_per_second"] == pytest.approx(32 * 3 * 2 * 8 * (6 + 16 + 3))
    assert ToyModel().flops() == 2 * 8 * (6 + 16 + 3)


def test_shares_are_of_the_time_of_the_steps(monkeypatch):
    found = paced(monkeypatch, 0.5, waited=0.1, talked=0.05)[0].values()
    assert found["pace/data_share"] == pytest.approx(0.2)
    assert found["pace/communication_share"] == pytest.approx(0.1)


def test_evaluations_and_checkpoints_are_no_part_of_a_step(monkeypatch):
    pace, clock = paced(monkeypatch, 0.5)
    clock[0] += 1000
    pace.pause()
    clock[0] += 0.5
    pace.enter(stepped(5))
    assert pace.values()["pace/step_seconds"] == pytest.approx(0.5)


def test_every_value_begins_anew(monkeypatch):
    pace, clock = paced(monkeypatch, 0.5)
    pace.values()
    clock[0] += 2
    pace.enter(stepped(5))
    assert pace.values()["pace/step_seconds"] == pytest.approx(2)


def test_the_peak_of_memory_has_seen_what_was_held_for_a_moment():
    torch.ones(1 << 27).sum()
    pace = Pace(toy_spec())
    pace.enter(stepped(1))
    assert pace.values()["pace/peak_memory_bytes"] > 4 << 27

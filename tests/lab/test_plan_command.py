"""`lab plan` on a real record: what is reused, what is left, and its price."""

import pytest
import torch

from lab import Ablation, Case, Confirm, Search
from lab.budget import Budget
from lab.cli import main
from lab.commands.plan import planned, report, scaled, within
from lab.pricing import Pricing
from lab.probe import Clock, Enough, measure
from lab.resources import Resources
from lab.settings import Settings
from lab.tracking.memory import MemoryTracker
from lab.tracking.tracker import Status
from lab.train.loop import Evaluated, Stepped
from tests.lab.toy import ToyData, ToyModel, toy_spec

SETTINGS = Settings("", "", "", data="")


def record(*specs):
    """A tracker in which those experiments are complete."""
    tracker = MemoryTracker()
    for spec in specs:
        run = tracker.begin(spec, name="toy", owner="here:1:0", tags={})
        tracker.end(run.run_id, Status.COMPLETE)
    return tracker


def priced(tracker, **how):
    return Pricing(tracker, SETTINGS, how.pop("resources", Resources()), **how)


def ablation():
    wide = toy_spec(model=ToyModel(hidden=16))
    return Ablation("toys", "laptop", (Case("narrow", toy_spec()), Case("wide", wide)), seeds=(0, 1, 2))


def test_what_is_on_record_is_reused_and_the_rest_is_to_run():
    items = list(planned(ablation(), priced(record(toy_spec(), toy_spec(seed=2)))))
    assert [(item.label, item.reused, item.todo) for item in items] == [("narrow", 2, 1), ("wide", 0, 3)]
    assert items[1].changes == "model.hidden=16"


def test_the_sums_are_said_with_their_intervals():
    items = list(planned(ablation(), priced(record(toy_spec()))))
    lines = list(report(ablation(), items, Resources(gpus=1), rate=2.0))
    assert lines[0] == "toys at laptop scale: 6 runs, 1 on record, 5 to run"
    assert any(line.startswith("  to do: ") and "FLOP" in line and "of checkpoints" in line for line in lines)


def test_a_finished_sweep_has_nothing_to_do():
    sweep = ablation()
    items = list(planned(sweep, priced(record(*(spec for _, spec in sweep.specs())))))
    lines = list(report(sweep, items, Resources(), rate=None))
    assert lines[0] == "toys at laptop scale: 6 runs, 6 on record, 0 to run"
    assert not any("to do" in line for line in lines)


def test_without_any_run_like_it_the_time_is_said_to_be_unknown():
    items = list(planned(ablation(), priced(record())))
    lines = list(report(ablation(), items, Resources(), rate=None))
    assert "  time unknown for 2 cases: `lab plan --probe` measures it, or run one seed of each" in lines


def test_a_given_speed_prices_what_no_run_has_and_the_record_knows_better():
    resources = Resources(workers=2, gpus=1, concurrent=1)
    items = list(planned(ablation(), priced(record(), sustained=1e-6, resources=resources)))
    assert items[0].each.seconds.likely == items[0].each.operations / 2e6
    lines = list(report(ablation(), items, resources, rate=None))
    hours = 2 * sum(3 * item.each.operations / 2e6 for item in items) / 3600
    assert f"  GPU-hours: {hours:,.2f}" in lines, "one value, where the range is one"


def test_a_search_is_what_is_left_of_its_trials():
    search = Search("hunt", "laptop", toy_spec(), space=lambda suggest: {}, trials=7)
    (item,) = planned(search, priced(record()))
    assert (item.reused, item.todo) == (0, 7)


def test_numbers_are_shortened_to_what_a_person_reads():
    assert scaled(44_900_000, "B") == "44.9 MB"
    assert scaled(3.3e20, "FLOP") == "330 EFLOP"
    assert scaled(12, "B") == "12 B"


def test_confirmations_on_fresh_seeds_are_a_row_of_their_own():
    search = Search("hunt", "laptop", toy_spec(), lambda suggest: {}, trials=7, confirm=Confirm(2, (1, 2, 3)))
    trials, confirmations = planned(search, priced(record()))
    assert (trials.todo, confirmations.todo) == (7, 6)


def test_a_budget_says_how_much_of_a_sweep_is_sure_to_be_done():
    """Every run takes up to operations / 1e-6 TFLOP/s; what fits is by that."""
    items = list(planned(ablation(), priced(record(), sustained=1e-6)))
    narrow, wide = (item.each.seconds.high for item in items)
    words = f"{(3 * narrow + 1.5 * wide) / 3600}h"
    (line,) = within(items, Budget.parse(words), Resources(concurrent=1))
    assert f"budget {words}: 4 of 6 runs fit" in line
    (line,) = within(items, Budget.parse("1GPUh"), Resources(workers=1800, gpus=1))
    fit = min(3, int(2 / narrow)) + min(3, int((2 - min(3, int(2 / narrow)) * narrow) / wide))
    assert f"{fit} of 6 runs fit" in line


def test_what_has_no_price_does_not_fit_a_budget():
    items = list(planned(ablation(), priced(record())))
    (line,) = within(items, Budget.parse("9d"), Resources())
    assert "0 of 6 runs fit" in line
    assert "6 without a price are not begun (`lab plan --probe`)" in line


@pytest.mark.slow
def test_a_probe_measures_what_is_not_on_record_with_the_loop_that_trains():
    said = []
    only = Ablation("toys", "laptop", (Case("toy", toy_spec()),), seeds=(0, 1))
    (item,) = planned(only, priced(record(), probing=True, say=said.append))
    each = item.each
    assert each.basis == "a probe of 18 steps", "of 21, three are for warming up"
    assert 0 < each.seconds.low < each.seconds.likely < each.seconds.high
    assert 5e7 < each.memory.likely < 5e9
    assert len(said) == 1, "its seeds take the same"


@pytest.mark.slow
def test_a_probe_that_fails_leaves_the_price_unknown_and_says_why():
    said = []
    poisoned = toy_spec(data=ToyData(fault="corrupt"))
    (item,) = planned(Ablation("toys", "laptop", (Case("bad", poisoned),)),
                      priced(record(), probing=True, say=said.append))  # fmt: skip
    assert item.each.seconds is None
    assert "it cannot be probed" in said[1]
    assert "prepare it again" in said[1]


def test_a_probe_counts_what_follows_the_first_steps_of_the_same_loop():
    found = measure(toy_spec(), Resources(), SETTINGS, 20)
    assert len(found.seconds) == 18, "of 21 steps, three are for warming up"
    assert 5e7 < found.memory < 1e10


def test_a_probe_leaves_out_evaluations_and_ends_when_it_has_enough():
    now = [0.0]
    clock = Clock(2, lambda: now[0])

    def step(number, at):
        now[0] = at
        clock(Stepped(number, 9, torch.zeros(()), 0.1))

    for number in (1, 2, 3):
        step(number, number)
    now[0] = 100.0
    clock(Evaluated(3, {}))
    step(4, 101.0)
    with pytest.raises(Enough):
        step(5, 103.0)
    assert clock.seconds == [1.0, 2.0]


@pytest.mark.parametrize("words", [["plan", "imagenet.fourier"], ["train", "imagenet.fourier", "--dry-run"]])
def test_one_experiment_has_a_plan_too_and_nothing_is_trained(words, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    assert main(words) == 0
    assert capsys.readouterr().out.startswith(
        "imagenet.fourier at laptop scale: 1 run, 0 on record, 1 to run\n"
    )

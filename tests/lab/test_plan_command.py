"""`lab plan` on a real record: what is reused, what is left, and its price."""

from lab import Ablation, Case, Search
from lab.commands.plan import at_speed, planned, report, scaled
from lab.resources import Resources
from lab.settings import Settings
from lab.tracking.memory import MemoryTracker
from lab.tracking.tracker import Status
from tests.lab.toy import ToyModel, toy_spec

SETTINGS = Settings("", "", "", data="")


def record(*specs):
    """A tracker in which those experiments are complete."""
    tracker = MemoryTracker()
    for spec in specs:
        run = tracker.begin(spec, name="toy", owner="here:1:0", tags={})
        tracker.end(run.run_id, Status.COMPLETE)
    return tracker


def ablation():
    wide = toy_spec(model=ToyModel(hidden=16))
    return Ablation("toys", "laptop", (Case("narrow", toy_spec()), Case("wide", wide)), seeds=(0, 1, 2))


def test_what_is_on_record_is_reused_and_the_rest_is_to_run():
    items = list(planned(ablation(), record(toy_spec(), toy_spec(seed=2)), SETTINGS))
    assert [(item.label, item.reused, item.todo) for item in items] == [("narrow", 2, 1), ("wide", 0, 3)]
    assert items[1].changes == "model.hidden=16"


def test_the_sums_are_said_with_their_intervals():
    items = list(planned(ablation(), record(toy_spec()), SETTINGS))
    lines = list(report(ablation(), items, Resources(gpus=1), rate=2.0))
    assert lines[0] == "toys at laptop scale: 6 runs, 1 on record, 5 to run"
    assert any(line.startswith("  to do: ") and "FLOP" in line and "of checkpoints" in line for line in lines)


def test_a_finished_sweep_has_nothing_to_do():
    sweep = ablation()
    items = list(planned(sweep, record(*(spec for _, spec in sweep.specs())), SETTINGS))
    lines = list(report(sweep, items, Resources(), rate=None))
    assert lines[0] == "toys at laptop scale: 6 runs, 6 on record, 0 to run"
    assert not any("to do" in line for line in lines)


def test_without_any_run_like_it_the_time_is_said_to_be_unknown():
    items = list(planned(ablation(), record(), SETTINGS))
    lines = list(report(ablation(), items, Resources(), rate=None))
    assert "  time unknown for 2 cases: run one seed of each, then ask again" in lines


def test_a_given_speed_prices_what_no_run_has_and_the_record_knows_better():
    items = [at_speed(item, 1e-6, workers=2) for item in planned(ablation(), record(), SETTINGS)]
    assert items[0].each.seconds.likely == items[0].each.operations / 2e6
    lines = list(report(ablation(), items, Resources(workers=2, gpus=1, concurrent=1), rate=None))
    hours = 2 * sum(3 * item.each.operations / 2e6 for item in items) / 3600
    assert f"  GPU-hours: {hours:,.2f} ({hours:,.2f} to {hours:,.2f})" in lines


def test_a_search_is_what_is_left_of_its_trials():
    search = Search("hunt", "laptop", toy_spec(), space=lambda suggest: {}, trials=7)
    (item,) = planned(search, record(), SETTINGS)
    assert (item.reused, item.todo) == (0, 7)


def test_numbers_are_shortened_to_what_a_person_reads():
    assert scaled(44_900_000, "B") == "44.9 MB"
    assert scaled(3.3e20, "FLOP") == "330 EFLOP"
    assert scaled(12, "B") == "12 B"

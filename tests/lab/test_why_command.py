"""`lab why`: what is on record for an experiment, or what differs least from it."""

import pytest

from lab import Settings
from lab.commands.why import asked, begins, described, difference, distance, explained, explained_run
from lab.errors import UnknownName
from lab.tracking.memory import MemoryTracker
from lab.tracking.tracker import Status
from tests.lab.toy import ToyModel, prepare_toy, toy_spec

SETTINGS = Settings("", "", "", data="")


def record(*specs, status=Status.COMPLETE, tags=None, reason=""):
    tracker = MemoryTracker()
    for spec in specs:
        run = tracker.begin(spec, name="toy", owner="here:1:0", tags=tags or {"fingerprint": "toy"})
        tracker.log(run.run_id, [])
        tracker.end(run.run_id, status, reason=reason)
    return tracker.runs()


def told(spec, runs, settings=SETTINGS):
    return "\n".join(explained("toy", spec, runs, settings))


def test_a_complete_run_of_the_same_data_is_reused():
    assert "reused: same specification, same data" in told(toy_spec(), record(toy_spec()))


def test_a_run_of_other_data_is_not_reused_and_both_fingerprints_are_named(tmp_path):
    prepare_toy(tmp_path, edition=2)
    settings = Settings("", "", "", data=str(tmp_path))
    said = told(toy_spec(), record(toy_spec(), tags={"fingerprint": "toy.1"}), settings)
    assert "not reused" in said
    assert "was made from toy toy.1" in said
    assert "holds toy.2" in said


def test_a_run_that_failed_says_why_and_what_continues_it():
    said = told(toy_spec(), record(toy_spec(), status=Status.FAILED, reason="the loss is nan at step 3"))
    assert "failed: the loss is nan at step 3" in said
    assert "not reused: it is failed; the same command continues it" in said


def test_without_a_run_the_nearest_ones_are_named_with_the_smallest_difference_first():
    near, far = toy_spec(seed=1), toy_spec(seed=1, model=ToyModel(hidden=16), batch_size=5)
    lines = told(toy_spec(), record(far, near)).splitlines()
    assert lines[1].endswith("not on record. Nearest on record:")
    assert lines[2].endswith("seed was 1, is 0")
    assert "model.hidden was 16, is 8" in lines[3]


def test_an_empty_record_is_said_to_be_empty():
    assert told(toy_spec(), []).splitlines()[-1].strip() == "none"


def test_a_run_that_nothing_uses_is_told_what_changed():
    (run,) = record(toy_spec())
    said = "\n".join(explained_run(run, "laptop"))
    assert "used by no experiment or ablation at laptop scale" in said


def test_a_model_of_another_kind_is_farther_than_another_seed():
    assert distance(toy_spec(), toy_spec(seed=1)) == 1
    assert distance(toy_spec(), toy_spec(model=ToyModel(hidden=9, dropout=0.1))) == 2
    assert difference(toy_spec(), toy_spec(seed=1)) == "seed was 0, is 1"


def test_code_with_uncommitted_changes_is_said_to_be():
    (run,) = record(toy_spec(), tags={"commit": "abc", "dirty": "true", "fingerprint": "toy"})
    assert any("made with commit abc with uncommitted changes, data toy" in line for line in described(run))


def test_a_cell_may_be_asked_for_by_the_name_that_tables_give_it():
    of_case = asked("table6:8 at start", "laptop")
    assert asked("table6 / 8 at start / top1", "laptop") == of_case
    assert asked("table6 / 8 at start", "laptop") == of_case
    with pytest.raises(UnknownName, match="Did you mean 'table6 / 8 at start / top1'"):
        asked("table6 / 8 at strat", "laptop")


def test_the_beginning_of_a_digest_names_a_run():
    runs = record(toy_spec())
    assert begins(runs[0].digest[:4], runs)
    assert begins(runs[0].run_id, runs)
    assert not begins(runs[0].digest[:1], runs)
    assert not begins("imagenet.fourier", runs)


def test_a_sweep_of_ones_own_is_asked_for_as_those_of_the_catalogue_are(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from lab import Ablation, grid\n"
        "from sweeps.experiments import imagenet\n"
        "def sweep(scale):\n"
        "    cases = grid(scale(imagenet.fourier()), {'batch_size': [4, 8]})\n"
        "    return Ablation('mine', scale.name, cases, seeds=(0, 1))\n"
    )
    every = [label for label, _ in asked(str(mine), "laptop")]
    assert every == [
        "batch_size=4 seed 0",
        "batch_size=4 seed 1",
        "batch_size=8 seed 0",
        "batch_size=8 seed 1",
    ]
    assert [label for label, _ in asked(f"{mine}:batch_size=8", "laptop")] == every[2:]

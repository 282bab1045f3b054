"""What every record of runs promises. The same suite for each implementation, with the real thing behind
it."""

from __future__ import annotations

import json
import math
import socket
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from lab.errors import RecordError, RunTaken
from lab.spec import ExperimentSpec
from lab.tracking.mlflow import MlflowTracker
from lab.tracking.tracker import LEASE_SECONDS, Scalar, Status, Tracker
from tests.contracts.runs import ELSEWHERE, ME, begin, settings_for
from tests.lab.toy import ToyModel, toy_spec


def test_a_new_run_is_running_and_holds_the_specification_and_the_tags(tracker: Tracker) -> None:
    spec = toy_spec(seed=3)
    run = begin(tracker, spec, sweep="table6", case="16 latents")
    assert (run.status, run.digest, run.seed, run.attempts) == (Status.RUNNING, spec.digest, 3, 1)
    assert run.tags == {"sweep": "table6", "case": "16 latents"}
    assert json.loads(run.spec) == json.loads(spec.to_json())
    assert ExperimentSpec.from_json(run.spec) == spec


def test_a_run_is_found_by_its_digest_and_only_by_it(tracker: Tracker) -> None:
    one, two, three = toy_spec(), toy_spec(seed=1), toy_spec(seed=2)
    runs = {spec.digest: begin(tracker, spec).run_id for spec in (one, two)}
    found = tracker.find([two.digest, three.digest, one.digest])
    assert {digest: run.run_id for digest, run in found.items()} == runs


def test_beginning_a_complete_run_returns_it_with_its_results(tracker: Tracker) -> None:
    first = begin(tracker, toy_spec())
    tracker.log(first.run_id, [Scalar("validation/top1", 7, 0.5), Scalar("validation/top1", 14, 0.75)])
    tracker.end(first.run_id, Status.COMPLETE)
    again = begin(tracker, toy_spec())
    assert (again.run_id, again.status, again.attempts) == (first.run_id, Status.COMPLETE, 1)
    assert again.metrics == {"validation/top1": 0.75}
    assert (again.ended or 0) >= again.started


@pytest.mark.parametrize("status", [Status.FAILED, Status.STOPPED, Status.PRUNED])
def test_an_unfinished_run_is_continued_as_the_same_run_with_one_more_attempt(
    tracker: Tracker, status: Status
) -> None:
    first = begin(tracker, toy_spec())
    tracker.end(first.run_id, status, reason="as the test wants")
    (ended,) = tracker.runs()
    assert (ended.status, ended.tags["reason"]) == (status, "as the test wants")
    again = begin(tracker, toy_spec())
    assert (again.run_id, again.status, again.attempts) == (first.run_id, Status.RUNNING, 2)
    assert again.ended is None


def test_a_continued_run_says_what_it_is_made_with_now_and_remembers_that_it_was_dirty(
    tracker: Tracker,
) -> None:
    parents = [
        tracker.group(name, kind="ablation", scale="laptop", owner=ME).run_id for name in ("first", "second")
    ]
    first = begin(tracker, toy_spec(), commit="a", dirty="true", fingerprint="old", case="one")
    assert first.parent is None
    for parent, commit in zip(parents, "bc", strict=True):
        tracker.end(first.run_id, Status.STOPPED)
        tags = {"commit": commit, "dirty": "false", "fingerprint": "new", "case": "two", "sweep": "first"}
        again = tracker.begin(toy_spec(), name="toy.two", owner=ME, tags=tags, parent=parent)
        assert again.tags == {
            "commit": commit, "dirty": "true", "fingerprint": "new", "case": "one", "sweep": "first",
        }  # fmt: skip
        assert (again.name, again.parent) == ("toy.one", parents[0])


def test_a_clean_run_that_goes_on_dirty_is_dirty(tracker: Tracker) -> None:
    first = begin(tracker, toy_spec(), dirty="false")
    tracker.end(first.run_id, Status.STOPPED)
    assert begin(tracker, toy_spec(), dirty="true").tags["dirty"] == "true"


def test_a_run_that_ends_well_no_longer_says_why_it_had_ended_before(tracker: Tracker) -> None:
    run = begin(tracker, toy_spec(), case="one")
    tracker.tag(run.run_id, {"traceback": "in build"})
    tracker.end(run.run_id, Status.FAILED, reason="out of paint")
    assert begin(tracker, toy_spec()).tags["reason"] == "out of paint"
    tracker.end(run.run_id, Status.COMPLETE)
    assert tracker.runs()[0].tags == {"case": "one"}


def test_a_run_that_is_set_aside_leaves_its_digest_to_a_new_one(tracker: Tracker) -> None:
    first = begin(tracker, toy_spec(), dirty="true")
    tracker.log(first.run_id, [Scalar("test/top1", 7, 0.5)])
    with pytest.raises(RunTaken, match="is being run by process"):
        tracker.retire(first.run_id, "it was made with uncommitted changes")
    tracker.end(first.run_id, Status.COMPLETE)
    tracker.retire(first.run_id, "it was made with uncommitted changes")
    assert (tracker.find([toy_spec().digest]), tracker.runs()) == ({}, [])
    again = begin(tracker, toy_spec(), dirty="false")
    assert again.run_id != first.run_id
    assert (again.status, again.attempts, again.metrics) == (Status.RUNNING, 1, {})
    assert again.tags["dirty"] == "false"
    tracker.log(again.run_id, [Scalar("test/top1", 7, 0.25)])
    assert tracker.history(again.run_id, "test/top1") == [(7, 0.25)]


def test_what_was_set_aside_is_in_the_bin_of_mlflow_with_the_reason(sqlite: str, tmp_path: Path) -> None:
    tracker = MlflowTracker(settings_for(sqlite, tmp_path))
    run = begin(tracker, toy_spec())
    tracker.end(run.run_id, Status.COMPLETE)
    tracker.retire(run.run_id, "made of other data")
    kept = MlflowClient(sqlite).get_run(run.run_id)
    assert (kept.info.lifecycle_stage, kept.data.tags["lab.retired"]) == ("deleted", "made of other data")


def test_seconds_are_those_of_the_attempts_and_not_those_between(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()

    def at(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: now + seconds)

    at(0)
    run = begin(tracker, toy_spec())
    at(10)
    tracker.end(run.run_id, Status.STOPPED, reason="enough for today")
    at(1000)
    assert tracker.runs()[0].seconds == pytest.approx(10, abs=0.01)
    begin(tracker, toy_spec())
    at(1003)
    assert tracker.runs()[0].seconds == pytest.approx(13, abs=0.01)
    at(1005)
    tracker.end(run.run_id, Status.COMPLETE)
    at(2000)
    assert tracker.runs()[0].seconds == pytest.approx(15, abs=0.01)


@pytest.mark.parametrize("closed", [True, False])
def test_an_attempt_that_died_counts_to_its_last_sign_of_life(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, closed: bool
) -> None:
    now = time.time()
    run = begin(tracker, toy_spec(), owner=ELSEWHERE)
    monkeypatch.setattr(time, "time", lambda: now + 20)
    tracker.beat([run.run_id], ELSEWHERE)
    monkeypatch.setattr(time, "time", lambda: now + 20 + 10 * LEASE_SECONDS)
    if closed:
        assert [dead.run_id for dead in tracker.reconcile()] == [run.run_id]
    begin(tracker, toy_spec())
    monkeypatch.setattr(time, "time", lambda: now + 25 + 10 * LEASE_SECONDS)
    tracker.end(run.run_id, Status.COMPLETE)
    # Between `now` and the claim itself the first attempt may lose a little.
    assert tracker.runs()[0].seconds == pytest.approx(25, abs=2)


def test_an_end_that_is_told_twice_is_one_end(tracker: Tracker) -> None:
    run = begin(tracker, toy_spec())
    tracker.end(run.run_id, Status.FAILED, owner=ME, reason="the loss is nan")
    tracker.end(run.run_id, Status.FAILED, owner=ME, reason="the loss is nan")
    (ended,) = tracker.runs()
    assert (ended.status, ended.tags["reason"]) == (Status.FAILED, "the loss is nan")


def test_what_lay_beyond_a_restored_step_is_superseded(tracker: Tracker) -> None:
    """On another number of workers the steps that are trained again differ in their last bits."""
    run = begin(tracker, toy_spec())
    tracker.log(run.run_id, [Scalar("train/loss", step, 1 / step) for step in (1, 2, 3)])
    tracker.log(run.run_id, [Scalar("train/loss", step, 9.0) for step in (2, 3)])
    curve = [(1, 1.0), (2, 9.0), (3, 9.0)]
    assert tracker.history(run.run_id, "train/loss") == curve
    assert tracker.histories([run.run_id])[run.run_id]["train/loss"] == curve
    assert tracker.find([run.digest])[run.digest].metrics["train/loss"] == 9.0


def test_a_step_that_is_trained_again_with_the_same_result_is_written_once(tracker: Tracker) -> None:
    run = begin(tracker, toy_spec())
    for _ in range(2):
        tracker.log(run.run_id, [Scalar("train/loss", step, 1 / step) for step in (1, 2, 3)])
    assert tracker.history(run.run_id, "train/loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    if isinstance(tracker, MlflowTracker):
        stored = MlflowClient(tracker.uri).get_metric_history(run.run_id, "train/loss")
        assert len(stored) == 3


def test_values_survive_whatever_they_are(tracker: Tracker) -> None:
    run = begin(tracker, toy_spec())
    tracker.log(run.run_id, [Scalar("x", 1, math.inf), Scalar("x", 2, -math.inf), Scalar("x", 3, math.nan)])
    values = [value for _, value in tracker.history(run.run_id, "x")]
    assert values[:2] == [math.inf, -math.inf]
    assert math.isnan(values[2])


def test_more_values_than_fit_into_one_call_all_arrive(tracker: Tracker) -> None:
    run = begin(tracker, toy_spec())
    tracker.log(run.run_id, [Scalar("train/loss", step, float(step)) for step in range(2500)])
    assert tracker.history(run.run_id, "train/loss") == [(step, float(step)) for step in range(2500)]


def test_the_histories_of_many_runs_are_those_of_each(tracker: Tracker) -> None:
    runs = [begin(tracker, toy_spec(seed=seed)).run_id for seed in range(3)]
    for number, run in enumerate(runs[:2]):
        tracker.log(run, [Scalar("a", 2, number + 0.5), Scalar("a", 1, math.inf), Scalar("b", 0, -0.0)])
        tracker.log(run, [Scalar("a", 2, 99.0)])
    found = tracker.histories(runs)
    assert found[runs[1]] == {"a": [(1, math.inf), (2, 99.0)], "b": [(0, 0.0)]}
    assert found[runs[0]]["a"] == tracker.history(runs[0], "a")
    assert found.get(runs[2], {}) == {}


def test_many_digests_are_found_as_one_is(tracker: Tracker) -> None:
    specs = [toy_spec(seed=seed) for seed in range(30)]
    for spec in specs:
        begin(tracker, spec)
    found = tracker.find([spec.digest for spec in specs] + ["0" * 12])
    assert found.keys() == {spec.digest for spec in specs}
    assert tracker.find([specs[7].digest]) == {specs[7].digest: found[specs[7].digest]}


def test_runs_are_listed_by_parent_and_tag_without_the_parents(tracker: Tracker) -> None:
    parent = tracker.group("table6", kind="ablation", scale="laptop", owner=ME)
    inside = tracker.begin(toy_spec(), name="a", owner=ME, tags={"case": "it's"}, parent=parent.run_id)
    outside = begin(tracker, toy_spec(seed=1), case="other")
    assert [run.run_id for run in tracker.runs()] == [inside.run_id, outside.run_id]
    assert [run.run_id for run in tracker.runs(parent=parent.run_id)] == [inside.run_id]
    assert [run.run_id for run in tracker.runs(tags={"case": "it's"})] == [inside.run_id]
    assert [run.run_id for run in tracker.runs(tags={"case": None})] == [inside.run_id, outside.run_id]
    assert tracker.runs(tags={"trial": None}) == []
    assert inside.parent == parent.run_id


def test_a_sweep_has_one_parent_per_scale_which_is_taken_like_a_run(tracker: Tracker) -> None:
    first = tracker.group("table6", kind="ablation", scale="laptop", owner=ME)
    with pytest.raises(RunTaken):
        tracker.group("table6", kind="ablation", scale="laptop", owner=ELSEWHERE)
    tracker.end(first.run_id, Status.COMPLETE)
    again = tracker.group("table6", kind="ablation", scale="laptop", owner=ME)
    other = tracker.group("table6", kind="ablation", scale="paper", owner=ME)
    assert again.run_id == first.run_id != other.run_id
    assert again.status is Status.RUNNING
    known = tracker.parent("table6", kind="ablation", scale="paper")
    assert known is not None
    assert known.run_id == other.run_id
    assert tracker.parent("table7", kind="ablation", scale="paper") is None


def test_tags_are_replaced_and_files_are_kept(tracker: Tracker, tmp_path: Path) -> None:
    run = begin(tracker, toy_spec(), dirty="false")
    tracker.tag(run.run_id, {"dirty": "true"})
    note = tmp_path / "note.txt"
    note.write_text("hello")
    tracker.attach(run.run_id, note, "plots")
    assert tracker.text(run.run_id, "plots/note.txt") == "hello"
    assert tracker.text(run.run_id, "note.txt") is None
    assert tracker.runs()[0].tags["dirty"] == "true"


def test_a_long_specification_comes_back_whole(tracker: Tracker) -> None:
    from tests.lab.toy import ToyData

    width = 10**60  # a specification may hold anything that is JSON
    spec = toy_spec(model=ToyModel(hidden=width), data=ToyData())
    assert ExperimentSpec.from_json(begin(tracker, spec).spec) == spec


def test_an_unreachable_server_is_told_in_one_line(tmp_path: Path) -> None:
    from lab.tracking.mlflow import MlflowTracker

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(RecordError, match=r"does not answer .*LAB_TRACKING") as refusal:
        MlflowTracker(settings_for(f"http://127.0.0.1:{port}", tmp_path))
    assert "\n" not in str(refusal.value)


def test_runs_that_others_keep_in_the_same_experiment_do_no_harm(sqlite: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    from lab.tracking.mlflow import MlflowTracker

    tracker = MlflowTracker(settings_for(sqlite, tmp_path))
    client = MlflowClient(sqlite)
    experiment = client.get_experiment_by_name(tmp_path.name)
    assert experiment is not None
    foreign = client.create_run(experiment.experiment_id)
    mine = begin(tracker, toy_spec())
    assert [run.run_id for run in tracker.runs()] == [mine.run_id]
    tracker.reconcile()
    assert client.get_run(foreign.info.run_id).info.status == "RUNNING"
    assert experiment.artifact_location.startswith("file://")

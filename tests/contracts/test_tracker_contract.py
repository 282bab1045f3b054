"""What every record of runs promises. The same suite for each implementation, with the real thing behind
it."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from lab.errors import RecordError, RunTaken, TrackingUnreachable
from lab.settings import Settings
from lab.spec import ExperimentSpec
from lab.tracking.lease import owner_of, this_process
from lab.tracking.memory import MemoryTracker
from lab.tracking.mlflow import MlflowTracker
from lab.tracking.tracker import LEASE_SECONDS, Scalar, Status, Tracker
from tests.lab.toy import ToyModel, toy_spec

ME = this_process()
ELSEWHERE = "another-host:1:1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real `mlflow server` on loopback."""
    home = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--workers",
        "1",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    command += [
        "--backend-store-uri",
        f"sqlite:///{home}/server.db",
        "--artifacts-destination",
        str(home / "files"),
    ]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True, env=os.environ | quiet, cwd=home
        )
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, (home / "log").read_text()
                time.sleep(0.25)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An embedded database. Making one takes seconds, so that each test has an experiment of its own in
    it."""
    return f"sqlite:///{tmp_path_factory.mktemp('embedded')}/record.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """One that is read directly."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture(params=["memory", "sqlite", "server", "postgresql"])
def tracker(request: pytest.FixtureRequest, tmp_path: Path) -> Tracker:
    if request.param == "memory":
        return MemoryTracker()
    from lab.tracking.mlflow import MlflowTracker

    return MlflowTracker(settings_for(request.getfixturevalue(request.param), tmp_path))


def settings_for(uri: str, folder: Path) -> Settings:
    return Settings(
        uri, str(folder / "files"), str(folder / "storage"), str(folder / "data"), experiment=folder.name
    )


def begin(tracker: Tracker, spec: ExperimentSpec, owner: str = ME, **tags: str):  # type: ignore[no-untyped-def]
    return tracker.begin(spec, name="toy.one", owner=owner, tags=tags)


def dead_owner() -> str:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = owner_of(process.pid)
    process.kill()
    process.wait()
    return owner


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


def test_a_run_held_by_a_live_process_is_refused_in_words_that_name_it(tracker: Tracker) -> None:
    begin(tracker, toy_spec())
    with pytest.raises(
        RunTaken, match=f"toy.one is being run by process {os.getpid()} on {socket.gethostname()}"
    ):
        begin(tracker, toy_spec(), owner=ELSEWHERE)


def test_a_run_of_a_dead_process_is_taken_over_at_once(tracker: Tracker) -> None:
    first = begin(tracker, toy_spec(), owner=dead_owner())
    again = begin(tracker, toy_spec())
    assert (again.run_id, again.attempts) == (first.run_id, 2)


def test_a_run_of_a_silent_owner_elsewhere_is_taken_over_only_after_the_lease(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = begin(tracker, toy_spec(), owner=ELSEWHERE)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LEASE_SECONDS - 5)
    with pytest.raises(RunTaken):
        begin(tracker, toy_spec())
    monkeypatch.setattr(time, "time", lambda: now + LEASE_SECONDS + 5)
    assert begin(tracker, toy_spec()).run_id == first.run_id
    assert tracker.beat([first.run_id], ELSEWHERE) == {first.run_id}, (
        "the old owner is told that it lost the run"
    )


def test_who_has_lost_a_run_cannot_end_that_of_its_successor(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = begin(tracker, toy_spec(), owner=ELSEWHERE)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LEASE_SECONDS + 5)
    begin(tracker, toy_spec())
    with pytest.raises(RunTaken, match="taken over by another process while nothing was heard of this one"):
        tracker.end(first.run_id, Status.COMPLETE, owner=ELSEWHERE)
    (run,) = tracker.runs()
    assert (run.status, run.attempts, run.ended) == (Status.RUNNING, 2, None)
    tracker.end(run.run_id, Status.COMPLETE, owner=ME)
    assert tracker.runs()[0].status is Status.COMPLETE
    with pytest.raises(RunTaken):
        tracker.end(first.run_id, Status.COMPLETE, owner=ELSEWHERE)


def test_who_was_silent_for_long_and_not_replaced_ends_its_run(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(tracker, toy_spec(), owner=ELSEWHERE)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LEASE_SECONDS + 5)
    tracker.end(run.run_id, Status.COMPLETE, owner=ELSEWHERE)
    assert tracker.runs()[0].status is Status.COMPLETE


def test_who_was_taken_for_dead_cannot_call_complete_what_was_closed_as_stopped(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(tracker, toy_spec(), owner=ELSEWHERE)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LEASE_SECONDS + 5)
    assert [closed.run_id for closed in tracker.reconcile()] == [run.run_id]
    with pytest.raises(RunTaken):
        tracker.end(run.run_id, Status.COMPLETE, owner=ELSEWHERE)
    assert tracker.runs()[0].status is Status.STOPPED


def test_an_end_that_is_told_twice_is_one_end(tracker: Tracker) -> None:
    run = begin(tracker, toy_spec())
    tracker.end(run.run_id, Status.FAILED, owner=ME, reason="the loss is nan")
    tracker.end(run.run_id, Status.FAILED, owner=ME, reason="the loss is nan")
    (ended,) = tracker.runs()
    assert (ended.status, ended.tags["reason"]) == (Status.FAILED, "the loss is nan")


def test_a_sweep_that_has_been_taken_over_is_not_ended_by_who_had_it(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tracker.group("table6", kind="ablation", scale="laptop", owner=ELSEWHERE)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LEASE_SECONDS + 5)
    tracker.group("table6", kind="ablation", scale="laptop", owner=ME)
    with pytest.raises(RunTaken):
        tracker.end(first.run_id, Status.STOPPED, owner=ELSEWHERE)
    parent = tracker.parent("table6", kind="ablation", scale="laptop")
    assert parent is not None
    assert parent.status is Status.RUNNING


def test_a_beat_keeps_a_lease_alive(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(tracker, toy_spec(), owner=ELSEWHERE)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LEASE_SECONDS - 5)
    assert tracker.beat([run.run_id], ELSEWHERE) == set()
    monkeypatch.setattr(time, "time", lambda: now + LEASE_SECONDS + 5)
    with pytest.raises(RunTaken):
        begin(tracker, toy_spec())


def test_one_beat_keeps_all_that_its_owner_has(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (begin(tracker, toy_spec(seed=seed), owner=ELSEWHERE) for seed in range(2))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LEASE_SECONDS - 5)
    tracker.beat([one.run_id], ELSEWHERE)
    monkeypatch.setattr(time, "time", lambda: now + LEASE_SECONDS + 5)
    assert tracker.reconcile() == []
    with pytest.raises(RunTaken):
        begin(tracker, toy_spec(seed=1))
    tracker.end(other.run_id, Status.COMPLETE, owner=ELSEWHERE)


@pytest.mark.parametrize("how", ["begun", "closed"])
def test_a_run_that_was_taken_by_a_clock_that_goes_before_is_known_to_be_lost_at_the_next_beat(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Its owner was never silent by its own clock; what it has besides stays its own."""
    lost, kept = (begin(tracker, toy_spec(seed=seed), owner=ELSEWHERE) for seed in range(2))
    held, now = [lost.run_id, kept.run_id], time.time()
    assert tracker.beat(held, ELSEWHERE) == set()
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time", lambda: now + LEASE_SECONDS + 5)
        if how == "begun":
            begin(tracker, toy_spec(seed=0))
        else:
            assert {run.run_id for run in tracker.reconcile()} == set(held)
            begin(tracker, toy_spec(seed=1), owner=ELSEWHERE)
    for _ in range(2):
        assert tracker.beat(held, ELSEWHERE) == {lost.run_id}
    tracker.end(kept.run_id, Status.COMPLETE, owner=ELSEWHERE)
    with pytest.raises(RunTaken):
        tracker.end(lost.run_id, Status.COMPLETE, owner=ELSEWHERE)


def test_many_who_begin_the_same_digest_at_once_get_one_run_and_one_holder(tracker: Tracker) -> None:
    def attempt(number: int) -> str | None:
        try:
            return begin(tracker, toy_spec(), owner=f"host-{number}:1:1").run_id
        except RunTaken:
            return None

    with ThreadPoolExecutor(6) as pool:
        taken = [run_id for run_id in pool.map(attempt, range(6)) if run_id]
    assert taken == [run.run_id for run in tracker.runs()]
    assert len(taken) == 1


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


def test_runs_of_dead_processes_are_closed_and_live_ones_left_alone(tracker: Tracker) -> None:
    dead, live = begin(tracker, toy_spec(), owner=dead_owner()), begin(tracker, toy_spec(seed=1))
    parent = tracker.group("table6", kind="ablation", scale="laptop", owner=dead_owner())
    assert {run.run_id for run in tracker.reconcile()} == {dead.run_id, parent.run_id}
    statuses = {run.run_id: run.status for run in tracker.runs()}
    assert statuses == {dead.run_id: Status.STOPPED, live.run_id: Status.RUNNING}
    assert tracker.reconcile() == []


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


@pytest.mark.parametrize("ending", [Status.STOPPED, Status.FAILED, Status.PRUNED])
def test_a_run_that_is_claimed_but_not_yet_marked_as_running_is_held(
    sqlite: str, tmp_path: Path, ending: Status
) -> None:
    from lab.tracking.mlflow import MlflowTracker

    one, two = (MlflowTracker(settings_for(sqlite, tmp_path)) for _ in range(2))
    run = begin(one, toy_spec())
    one.end(run.run_id, ending, reason="as the test wants")
    mark_as_running, refusals = one._client.update_run, []

    def interrupted(*args: object, **fields: object) -> None:
        """What the other one finds at the last moment before the run is marked."""
        with pytest.raises(RunTaken) as refusal:
            begin(two, toy_spec(), owner=ELSEWHERE)
        refusals.append(str(refusal.value))
        mark_as_running(*args, **fields)

    one._client.update_run = interrupted
    assert begin(one, toy_spec()).attempts == 2
    assert refusals == [refusals[0]]
    assert f"process {os.getpid()}" in refusals[0]


def test_a_run_whose_claimant_died_before_it_was_marked_as_running_is_free(
    sqlite: str, tmp_path: Path
) -> None:
    from lab.tracking import layout
    from lab.tracking.mlflow import MlflowTracker

    tracker = MlflowTracker(settings_for(sqlite, tmp_path))
    run = begin(tracker, toy_spec())
    tracker.end(run.run_id, Status.STOPPED)
    tracker._client.log_param(run.run_id, layout.claim(2), layout.claimed(dead_owner(), time.time() + 1))
    again = begin(tracker, toy_spec())
    assert (again.run_id, again.attempts) == (run.run_id, 3)


class Counting:
    """A client of MLflow that counts what it is asked, and may answer one question late."""

    def __init__(self, client: object, unanswered: str = "") -> None:
        self._client, self._unanswered = client, unanswered
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> object:
        self.calls.append(name)
        if name == self._unanswered:
            self._unanswered = ""
            raise TrackingUnreachable("away")
        return getattr(self._client, name)


def test_to_renew_a_lease_takes_the_same_calls_for_one_run_and_for_many(sqlite: str, tmp_path: Path) -> None:
    tracker = MlflowTracker(settings_for(sqlite, tmp_path))
    held, calls = list[str](), list[list[str]]()
    for seed in range(12):
        held.append(begin(tracker, toy_spec(seed=seed)).run_id)
    tracker.beat(held, ME)
    for some in (held[:1], held):
        tracker._leases._client = counting = Counting(tracker._client)
        assert tracker.beat(some, ME) == set()
        calls.append(counting.calls)
    assert calls[0] == calls[1]


def test_a_loss_is_not_missed_where_the_record_falls_silent_between_the_beat_and_the_look(
    sqlite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (MlflowTracker(settings_for(sqlite, tmp_path)) for _ in range(2))
    run, now = begin(one, toy_spec(), owner=ELSEWHERE), time.time()
    assert one.beat([run.run_id], ELSEWHERE) == set()
    monkeypatch.setattr(time, "time", lambda: now + LEASE_SECONDS + 5)
    begin(two, toy_spec())
    one._client = Counting(one._client, unanswered="search_runs")
    with pytest.raises(TrackingUnreachable):
        one.beat([run.run_id], ELSEWHERE)
    assert one.beat([run.run_id], ELSEWHERE) == {run.run_id}


def test_runs_whose_leases_an_earlier_version_renews_one_by_one_are_held(
    sqlite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lab.tracking import layout

    tracker = MlflowTracker(settings_for(sqlite, tmp_path))
    renewed, silent = (begin(tracker, toy_spec(seed=seed), owner=ELSEWHERE) for seed in range(2))
    now = time.time()
    tracker._client.set_tag(renewed.run_id, layout.BEAT, f"{now + LEASE_SECONDS:.3f}")
    monkeypatch.setattr(time, "time", lambda: now + LEASE_SECONDS + 5)
    with pytest.raises(RunTaken):
        begin(tracker, toy_spec(seed=0))
    assert [run.run_id for run in tracker.reconcile()] == [silent.run_id]


def test_the_leases_of_owners_long_gone_are_removed_and_no_others(
    sqlite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lab.tracking.leases import KEPT_SECONDS

    tracker = MlflowTracker(settings_for(sqlite, tmp_path))
    run = begin(tracker, toy_spec(), owner=ELSEWHERE)
    tracker.beat([run.run_id], ELSEWHERE)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + KEPT_SECONDS + 5)
    tracker.beat([], ME)
    assert [closed.run_id for closed in tracker.reconcile()] == [run.run_id]
    assert tracker._leases.beats().keys() == {ME}


def test_the_database_says_of_every_run_what_the_client_says(database: str, tmp_path: Path) -> None:
    from lab.tracking.mlflow import MlflowTracker

    tracker = MlflowTracker(settings_for(database, tmp_path))
    assert tracker._database is not None
    parent = tracker.group("table6", kind="ablation", scale="laptop", owner=ME)
    for seed, status in enumerate((Status.COMPLETE, Status.FAILED, Status.PRUNED, Status.RUNNING)):
        run = tracker.begin(toy_spec(seed=seed), name="a", owner=ME, tags={"case": "x"}, parent=parent.run_id)
        tracker.log(run.run_id, [Scalar("a", 1, math.nan), Scalar("b", 1, math.inf), Scalar("b", 2, 0.1)])
        if status is not Status.RUNNING:
            tracker.end(run.run_id, status, reason="" if status is Status.COMPLETE else "so")
    tracker._client.delete_run(begin(tracker, toy_spec(seed=9)).run_id)
    digests = [toy_spec(seed=seed).digest for seed in range(10)]
    direct = tracker.find(digests), tracker.runs(), tracker.runs(parent=parent.run_id, tags={"case": "x"})
    histories = sorted(tracker.histories([run.run_id for run in direct[1]]).items())
    tracker._database = None
    client = tracker.find(digests), tracker.runs(), tracker.runs(parent=parent.run_id, tags={"case": "x"})
    assert repr(direct) == repr(client)  # as text, since no nan equals another
    ids = [run.run_id for run in direct[1]]
    assert repr(histories) == repr(sorted(tracker.histories(ids).items()))
    assert len(direct[0]) == 4


def test_runs_are_found_that_others_made_since_and_after_rows_were_removed_or_numbered_anew(
    sqlite: str, tmp_path: Path
) -> None:
    one, two = (MlflowTracker(settings_for(sqlite, tmp_path)) for _ in range(2))
    digests, made = [toy_spec(seed=seed).digest for seed in range(6)], list[str]()
    for seed in range(4):
        made.append(begin(two, toy_spec(seed=seed)).run_id)
        assert {run.run_id for run in one.find(digests).values()} == set(made)
    with closing(sqlite3.connect(sqlite.removeprefix("sqlite:///"))) as database:
        for run_id in (made.pop(0), made.pop()):  # the first, and the last that was read
            for table in ("tags", "params", "runs"):
                database.execute(f"DELETE FROM {table} WHERE run_uuid = ?", [run_id])
        database.commit()
        database.execute("VACUUM")
    for seed in (4, 5):
        made.append(begin(two, toy_spec(seed=seed)).run_id)
        assert {run.run_id for run in one.find(digests).values()} == set(made)


def test_a_database_of_another_schema_is_left_to_the_client(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lab.tracking.mlflow import MlflowTracker

    monkeypatch.setattr("lab.tracking.database.SCHEMA", "another")
    tracker = MlflowTracker(settings_for(database, tmp_path))
    assert tracker._database is None
    run = begin(tracker, toy_spec())
    assert tracker.find([run.digest])[run.digest].run_id == run.run_id


def test_reading_the_database_directly_can_write_nothing(database: str, tmp_path: Path) -> None:
    from lab.tracking import database as direct
    from lab.tracking.mlflow import MlflowTracker

    MlflowTracker(settings_for(database, tmp_path))
    with direct._connected(database) as ask, pytest.raises(Exception, match=r"read-?only"):
        ask("DELETE FROM tags", {})

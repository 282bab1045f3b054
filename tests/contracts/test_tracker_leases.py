"""Who holds a run: the same promises for each implementation, and what keeping them costs."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from lab.errors import RunTaken, TrackingUnreachable
from lab.tracking.mlflow import MlflowTracker
from lab.tracking.tracker import LEASE_SECONDS, Status, Tracker
from tests.contracts.runs import ELSEWHERE, ME, begin, dead_owner, settings_for
from tests.lab.toy import toy_spec


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


def test_runs_of_dead_processes_are_closed_and_live_ones_left_alone(tracker: Tracker) -> None:
    dead, live = begin(tracker, toy_spec(), owner=dead_owner()), begin(tracker, toy_spec(seed=1))
    parent = tracker.group("table6", kind="ablation", scale="laptop", owner=dead_owner())
    assert {run.run_id for run in tracker.reconcile()} == {dead.run_id, parent.run_id}
    statuses = {run.run_id: run.status for run in tracker.runs()}
    assert statuses == {dead.run_id: Status.STOPPED, live.run_id: Status.RUNNING}
    assert tracker.reconcile() == []


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


class Between:
    """A client of MLflow while whose pages are read something happens."""

    def __init__(self, client: MlflowClient, happens: Callable[[], None]) -> None:
        self._client, self._happens = client, happens

    def search_runs(self, *arguments: Any, page_token: str | None, **how: Any) -> Any:
        if page_token:
            self._happens()
        return self._client.search_runs(*arguments, page_token=page_token, **how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def test_a_run_is_not_lost_because_others_end_while_the_running_ones_are_listed(
    sqlite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.tracking.mlflow.RUNS_PER_PAGE", 2)
    one, two = (MlflowTracker(settings_for(sqlite, tmp_path)) for _ in range(2))
    runs = [begin(one, toy_spec(seed=seed)).run_id for seed in range(5)]
    one._client = Between(one._client, lambda: two.end(runs[0], Status.COMPLETE))
    assert one.beat(runs[1:], ME) == set()
    assert one._leases.renewed(ME)


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

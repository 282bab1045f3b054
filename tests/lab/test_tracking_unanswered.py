"""Calls that arrive at the record but whose answers do not: whoever repeats them gets what they had done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import Settings
from lab.errors import RunTaken, TrackingUnreachable
from lab.tracking.lease import this_process
from lab.tracking.mlflow import MlflowTracker
from lab.tracking.patience import patient
from lab.tracking.tracker import Status
from tests.contracts.runs import dead_owner
from tests.lab.toy import toy_spec

ME = this_process()


class Deaf:
    """A client that does not hear the answer to some of its calls."""

    def __init__(self, client: Any, unheard: Callable[[str, int], bool]) -> None:
        self._client, self._unheard, self.calls = client, unheard, 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*given: Any, **named: Any) -> Any:
            answer = method(*given, **named)
            self.calls += 1
            if self._unheard(name, self.calls):
                raise TrackingUnreachable(f"no answer to {name}")
            return answer

        return call


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("record")


def deaf(home: Path, experiment: str, unheard: Callable[[str, int], bool]) -> tuple[MlflowTracker, Deaf]:
    tracker = MlflowTracker(Settings.load({"LAB_EXPERIMENT": experiment}, home))
    client = Deaf(tracker._client, unheard)
    tracker._client = tracker._claims._client = client
    return tracker, client


@pytest.mark.parametrize("call", range(1, 4))
def test_a_run_whose_beginning_lost_an_answer_is_begun_once(home: Path, call: int) -> None:
    tracker, client = deaf(home, f"begin {call}", lambda name, number: number == call)
    run = patient(tracker, 30).begin(toy_spec(), name="toy", owner=ME, tags={"case": "one"})
    assert client.calls > call, "there was such a call"
    assert (run.status, run.attempts, run.tags["case"]) == (Status.RUNNING, 1, "one")
    assert [found.run_id for found in tracker.runs()] == [run.run_id]
    tracker.end(run.run_id, Status.COMPLETE)
    assert tracker.reconcile() == []


@pytest.mark.parametrize("call", range(1, 8))
def test_a_run_whose_continuation_lost_an_answer_is_continued_once(home: Path, call: int) -> None:
    tracker, client = deaf(home, f"continue {call}", lambda name, number: False)
    first = tracker.begin(toy_spec(), name="toy", owner=ME, tags={})
    tracker.end(first.run_id, Status.STOPPED)
    before = client.calls
    client._unheard = lambda name, number: number == before + call
    run = patient(tracker, 30).begin(toy_spec(), name="toy", owner=ME, tags={})
    assert client.calls > before + call
    assert (run.run_id, run.status, run.attempts) == (first.run_id, Status.RUNNING, 2)
    assert len(tracker.runs()) == 1


def test_who_got_no_answer_does_not_take_a_run_that_somebody_else_has_begun_since(home: Path) -> None:
    tracker, client = deaf(home, "others", lambda name, number: number == 1)
    tracker._database = None  # as behind a server: the first call is a look at what there is
    with pytest.raises(TrackingUnreachable):
        tracker.begin(toy_spec(), name="toy", owner=ME, tags={})
    other = MlflowTracker(Settings.load({"LAB_EXPERIMENT": "others"}, home))
    other.begin(toy_spec(), name="other", owner="elsewhere:1:1", tags={})
    with pytest.raises(RunTaken, match="other is being run by process 1 on elsewhere"):
        tracker.begin(toy_spec(), name="toy", owner=ME, tags={})
    assert client.calls > 1


def test_a_sweep_whose_parent_lost_an_answer_has_one_parent(home: Path) -> None:
    for call in range(1, 6):
        tracker, _ = deaf(home, f"group {call}", lambda name, number, call=call: number == call)  # type: ignore[misc]
        parent = patient(tracker, 30).group("toys", kind="ablation", scale="laptop", owner=ME)
        assert parent.status is Status.RUNNING
        experiment = tracker._experiment_id
        assert len(tracker._client.search_runs([experiment])) == 1


@pytest.mark.parametrize("last", ["create_run", "log_batch"])
def test_what_a_dead_process_had_only_half_begun_is_cleared_away(home: Path, last: str) -> None:
    """As a kill between the making of a run and its first claim, or between the claim of a rival's run and
    the deletion of it, leaves it."""
    tracker, client = deaf(home, f"killed {last}", lambda name, number: name == "create_run")
    with pytest.raises(TrackingUnreachable):
        tracker.begin(toy_spec(), name="toy", owner=dead_owner(), tags={})
    (left,) = tracker.runs()
    if last == "log_batch":
        client.log_param(left.run_id, "lab.attempt.1", "void")
    assert tracker.reconcile() == []
    assert tracker._client.search_runs([tracker._experiment_id]) == []
    client._unheard = lambda name, number: False
    assert tracker.begin(toy_spec(), name="toy", owner=ME, tags={}).attempts == 1

"""Sweeps as commands, with a real Ray, a real MLflow and real deaths."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from lab import Settings
from lab.search.replay import replay
from lab.search.trial import Trial
from lab.sweep import Search
from lab.tracking.mlflow import MlflowTracker
from lab.tracking.tracker import RunRecord, Status
from tests.lab.sweeping import sweep_of

ROOT = Path(__file__).parents[2]


def start(home: Path, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.lab.sweeping", str(home), json.dumps(options)]
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}",
        "PYTHONUNBUFFERED": "1",
    }
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment,
        start_new_session=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=240)
    return said


def wait_for(process: subprocess.Popen[str], words: str) -> str:
    """Read what a process says up to a line that has these words."""
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if words in line:
            return said
    raise AssertionError(f"it never said {words!r}: {said}")


def record(home: Path) -> tuple[list[RunRecord], MlflowTracker]:
    tracker = MlflowTracker(Settings.load({}, home))
    return tracker.runs(), tracker


def steps(tracker: MlflowTracker, run: RunRecord) -> list[int]:
    return [step for step, _ in tracker.history(run.run_id, "validation/top1")]


def test_a_sweep_killed_in_the_middle_is_finished_by_the_same_command(tmp_path: Path) -> None:
    options = {"kind": "ablation", "cases": 4, "steps": 700, "every": 140, "concurrent": 2}
    first = start(tmp_path, **options)
    said = wait_for(first, "1/4 done")
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    said = finish(start(tmp_path, **options))
    runs, tracker = record(tmp_path)
    assert [run.status for run in runs] == [Status.COMPLETE] * 4, said
    assert len({run.digest for run in runs}) == 4
    assert [steps(tracker, run) for run in runs] == [[140, 280, 420, 560, 700]] * 4
    assert {run.attempts for run in runs} >= {1}
    assert sum(run.attempts for run in runs) > 4, (
        "those that were at work when the command died were begun again"
    )
    parent = tracker.parent("toys", kind="ablation", scale="laptop")
    assert parent is not None
    assert parent.status is Status.COMPLETE
    assert {run.parent for run in runs} == {parent.run_id}

    again = finish(start(tmp_path, **options))
    assert "4/4 done" in again
    assert "4 of them on record before" in again
    assert " in " not in again.replace("validation", ""), "nothing was trained"
    assert_nothing_left()


@pytest.mark.slow
def test_a_search_can_be_extended_and_replayed(tmp_path: Path) -> None:
    said = finish(start(tmp_path, kind="search", cases=6, concurrent=2))
    first, _ = record(tmp_path)
    assert "6/6 done" in said
    said = finish(start(tmp_path, kind="search", cases=8, concurrent=2))
    runs, tracker = record(tmp_path)
    assert "8/8 done" in said
    assert "6 of them on record before" in said
    assert [run.run_id for run in runs][: len(first)] == [run.run_id for run in first]
    assert all(run.attempts == 1 and run.status is Status.COMPLETE for run in runs)
    parent = tracker.parent("toys", kind="search", scale="laptop")
    assert parent is not None
    trials = [
        Trial.from_json(text) for name, text in sorted(parent.tags.items()) if name.startswith("trial.")
    ]
    assert [trial.number for trial in trials] == list(range(8))
    found = sweep_of("search", cases=8)
    assert isinstance(found, Search)
    assert replay(found, trials) == []
    best = max(runs, key=lambda run: run.metrics["validation/top1"]).metrics["validation/top1"]
    assert parent.metrics["best/validation/top1"] == best
    assert max(trial.value or 0 for trial in trials) == best


@pytest.mark.slow
def test_two_who_run_the_same_sweep_at_once_never_train_twice(tmp_path: Path) -> None:
    options = {"kind": "ablation", "cases": 3, "steps": 1500, "every": 500, "concurrent": 1}
    _, tracker = record(tmp_path)
    one = start(tmp_path, **options)
    while (parent := tracker.parent("toys", kind="ablation", scale="laptop")) is None:
        time.sleep(0.1)
    assert parent.status is Status.RUNNING
    two = start(tmp_path, **options)
    assert "RunTaken: toys is being run by process" in finish(two)
    assert two.returncode == 2
    finish(one)
    runs, _ = record(tmp_path)
    assert [(run.status, run.attempts) for run in runs] == [(Status.COMPLETE, 1)] * 3


@pytest.mark.slow
def test_of_two_who_start_the_same_sweep_at_the_same_moment_one_runs_it_all(tmp_path: Path) -> None:
    options = {"kind": "ablation", "cases": 3, "steps": 300, "every": 100, "concurrent": 1}
    record(tmp_path)
    both = [start(tmp_path, **options) for _ in range(2)]
    said = [finish(process) for process in both]
    assert sorted(process.returncode for process in both) in ([0, 0], [0, 2]), said
    assert all("RunTaken" in words for process, words in zip(both, said, strict=True) if process.returncode)
    runs, tracker = record(tmp_path)
    assert [(run.status, run.attempts) for run in runs] == [(Status.COMPLETE, 1)] * 3
    assert len({run.digest for run in runs}) == 3
    assert [steps(tracker, run) for run in runs] == [[100, 200, 300]] * 3
    assert_nothing_left()


@pytest.mark.slow
def test_two_sweeps_with_the_same_experiments_share_their_runs(tmp_path: Path) -> None:
    """An ablation of three cases beside one of four seeds of which the first is common to both."""
    record(tmp_path)
    common = {"kind": "ablation", "steps": 300, "every": 100, "concurrent": 1}
    both = [start(tmp_path, cases=3, **common), start(tmp_path, cases=1, seeds=3, name="others", **common)]
    said = [finish(process) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    runs, tracker = record(tmp_path)
    assert [(run.status, run.attempts) for run in runs] == [(Status.COMPLETE, 1)] * 5
    assert [run.sweeps for run in runs].count({"toys", "others"}) == 1
    assert [steps(tracker, run) for run in runs] == [[100, 200, 300]] * 5


@pytest.mark.slow
def test_a_second_ctrl_c_gives_up_at_once_and_leaves_a_record_that_the_same_command_completes(
    tmp_path: Path,
) -> None:
    options = {"kind": "ablation", "cases": 3, "steps": 4000, "every": 1000, "concurrent": 2}
    first = start(tmp_path, **options)
    wait_for(first, "1/3 done")
    os.kill(first.pid, signal.SIGINT)
    wait_for(first, "stopping")
    os.kill(first.pid, signal.SIGINT)
    finish(first)
    assert first.returncode != 0
    said = finish(start(tmp_path, **options))
    assert "3/3 done" in said
    runs, tracker = record(tmp_path)
    assert [run.status for run in runs] == [Status.COMPLETE] * 3
    assert [steps(tracker, run) for run in runs] == [[1000, 2000, 3000, 4000]] * 3
    assert tracker.reconcile() == []
    assert_nothing_left()


@pytest.mark.slow
def test_ctrl_c_writes_checkpoints_and_the_same_command_continues_them(tmp_path: Path) -> None:
    options = {"kind": "ablation", "cases": 3, "steps": 4000, "every": 1000, "concurrent": 1}
    first = start(tmp_path, **options)
    wait_for(first, "1/3 done")
    time.sleep(1.0)
    os.killpg(first.pid, signal.SIGINT)
    said = finish(first)
    assert first.returncode == 2
    assert "Interrupted: toys stopped with 1 of 3 runs done; the same command continues" in said
    runs, _ = record(tmp_path)
    stopped = [run for run in runs if run.status is Status.STOPPED]
    assert len(stopped) == 1
    assert "stopped after step" in stopped[0].tags["reason"]
    assert list((tmp_path / "checkpoints" / stopped[0].digest).glob("step-*"))
    assert "3/3 done" in finish(start(tmp_path, **options))
    runs, tracker = record(tmp_path)
    assert [steps(tracker, run) for run in runs] == [[1000, 2000, 3000, 4000]] * 3
    assert_nothing_left()


@pytest.mark.slow
def test_a_pruned_search_stops_the_worse_trials_and_remembers_it(tmp_path: Path) -> None:
    options = {"kind": "search", "cases": 10, "steps": 210, "every": 21, "concurrent": 2, "prune": True}
    said = finish(start(tmp_path, **options))
    runs, tracker = record(tmp_path)
    pruned = [run for run in runs if run.status is Status.PRUNED]
    assert pruned, said
    assert all(len(steps(tracker, run)) < 10 for run in pruned)
    assert all(len(steps(tracker, run)) == 10 for run in runs if run.status is Status.COMPLETE)
    again = finish(start(tmp_path, **options))
    assert "10 of them on record before" in again
    assert f"{len(pruned)} pruned" in again


@pytest.mark.slow
def test_a_trial_whose_process_is_killed_is_continued_by_the_same_command(tmp_path: Path) -> None:
    options = {"kind": "ablation", "cases": 2, "steps": 6000, "every": 1000, "concurrent": 1}
    command = start(tmp_path, **options)
    wait_for(command, "1/2 done")
    time.sleep(2.0)
    (victim,) = [p for p in psutil.process_iter() if of_ours(p) and "ImplicitFunc" in " ".join(p.cmdline())]
    victim.kill()
    said = finish(command)
    assert "2/2 done, 0 failed" in said
    runs, tracker = record(tmp_path)
    assert [(run.status, run.attempts) for run in runs] == [(Status.COMPLETE, 1)] * 2
    assert [steps(tracker, run) for run in runs] == [[1000, 2000, 3000, 4000, 5000, 6000]] * 2


@pytest.mark.slow
def test_a_sweep_of_worker_groups_keeps_the_same_record(tmp_path: Path) -> None:
    options = {"kind": "ablation", "cases": 2, "steps": 21, "workers": 2, "concurrent": 1}
    said = finish(start(tmp_path, **options))
    runs, tracker = record(tmp_path)
    assert [run.status for run in runs] == [Status.COMPLETE] * 2, said
    assert [steps(tracker, run) for run in runs] == [[7, 14, 21]] * 2
    assert_nothing_left()


def assert_nothing_left(patience: float = 20.0) -> None:
    """No process of a sweep of this test outlives its command for long."""
    deadline = time.monotonic() + patience
    while (left := sorted(filter(None, map(of_ours, psutil.process_iter())))) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not left


def of_ours(process: psutil.Process) -> str:
    try:
        environment = process.environ()
        return (
            f"{process.pid} {process.name()}" if environment.get("LAB_CLUSTER") and ours(environment) else ""
        )
    except psutil.Error:
        return ""


def ours(environment: dict[str, str]) -> bool:
    return environment.get("PYTEST_CURRENT_TEST") == os.environ.get("PYTEST_CURRENT_TEST")

"""What a job finds out on the head before anything runs: the environment, and its turn."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from lab import arrival

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
EXPECTED = {"python": PYTHON, "lock": "0123456789ab"}
LOCK = {"ray": "2.60.0", "torch": "2.13.0", "mlflow": "3.17.2", "optuna": "5.0.0", "numpy": "2.4.0"}


def differs(
    here: dict[str, str | None], *, stamp: str = "0123456789ab", expected: dict[str, str] = EXPECTED
) -> str | None:
    return arrival.mismatch(expected, LOCK, (LOCK | here).get, stamp)


def test_the_locked_environment_is_accepted_and_a_build_for_cuda_is_the_same_version() -> None:
    assert differs({}) is None
    assert differs({"torch": "2.13.0+cu130"}) is None
    assert differs({"numpy": None}) is None, "what is not needed here need not be here"
    assert differs({}, stamp="") is None, "a cluster of somebody else's making is judged by what it has"


@pytest.mark.parametrize(
    ("here", "says"),
    [
        ({"torch": "2.12.0"}, "the cluster has torch 2.12.0, the job wants 2.13.0"),
        ({"numpy": "2.3.0", "ray": "2.59.0"}, "the cluster has ray 2.59.0, the job wants 2.60.0"),
        ({"mlflow": None}, "the cluster has no mlflow, the job wants 3.17.2"),
        ({"numpy": "2.3.0"}, "the cluster has numpy 2.3.0, the job wants 2.4.0"),
    ],
)
def test_another_version_is_named_the_weightiest_first(here: dict[str, str | None], says: str) -> None:
    assert differs(here) == says


def test_another_python_and_another_lock_are_named() -> None:
    assert (
        differs({}, expected=EXPECTED | {"python": "3.9"})
        == f"the cluster has Python {PYTHON}, the job is from 3.9"
    )
    assert differs({}, stamp="ffff") == "the cluster was made from the lock ffff, the job has 0123456789ab"


def test_a_lock_is_read_with_its_markers_and_spellings() -> None:
    text = "# note\nray==2.60.0\ntriton==3.7.1; sys_platform == 'linux'\nPySocks==1.7.1\nruamel.yaml==0.18\n"
    assert arrival.locked(text) == {
        "ray": "2.60.0",
        "triton": "3.7.1",
        "pysocks": "1.7.1",
        "ruamel-yaml": "0.18",
    }


def test_what_the_project_needs_is_followed_through_extras_and_leaves_out_what_tests_use() -> None:
    stated = {
        "perceiver-lab": ["ray[default, tune]>=2.60", "Torch==2.13.0", 'pytest>=8; extra == "test"'],
        "ray": [
            "click",
            'aiohttp>=3; extra == "default"',
            "pandas; extra == 'tune'",
            "gymnasium; extra == 'rllib'",
        ],
        "torch": ["sympy>=1.13", 'triton==3.7.1; platform_system == "Linux"'],
    }
    found = arrival.needed(lambda name: stated.get(name, []))
    assert found == {"ray", "torch", "click", "aiohttp", "pandas", "sympy", "triton"}


def waits(
    folder: Path, ticket: arrival.Ticket, worth: tuple[int, float] | None, log: Path, holds: float
) -> None:
    name, told = ticket.name, log.with_suffix(".told")

    def say(line: str) -> None:
        with told.open("a") as file:
            file.write(f"{name}: {line}\n")

    with arrival.take_turn(folder, ticket, 1, say, lambda: worth):
        with log.open("a") as file:
            file.write(f"{name}\n")
        time.sleep(holds)


@pytest.fixture
def contest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Processes that want a turn, started in order, each once the one before is in the queue."""
    monkeypatch.setattr(arrival, "LOOK_SECONDS", 0.05)
    context, queue, log = multiprocessing.get_context("fork"), tmp_path / "queue", tmp_path / "log"
    started: list[multiprocessing.Process] = []

    def start(
        name: str,
        priority: int,
        holds: float,
        worth: tuple[int, float] | None = None,
        came: float | None = None,
    ) -> multiprocessing.Process:
        ticket = arrival.Ticket(name, priority, time.time() if came is None else came)
        process = context.Process(target=waits, args=(queue, ticket, worth, log, holds))
        process.start()
        started.append(process)
        told = log.with_suffix(".told")
        while not any(file.exists() and name in file.read_text() for file in (log, told)):
            time.sleep(0.01)
        return process

    start.log = log
    yield start
    for process in started:
        if process.is_alive():
            process.kill()
        process.join()


def test_the_highest_priority_goes_first_and_of_equals_whoever_came_first(contest) -> None:
    first = contest("first", 0, 600)
    others = [contest("low", -5, 0), contest("early", 0, 0), contest("late", 0, 0), contest("urgent", 7, 0)]
    os.kill(first.pid, signal.SIGKILL)  # whatever ends a job gives its place back
    for process in others:
        process.join(30)
    assert contest.log.read_text().split() == ["first", "urgent", "early", "late", "low"]


def test_of_equal_priority_whoever_completes_more_for_its_cost_goes_first_and_says_why(contest) -> None:
    first = contest("first", 0, 600)
    others = [
        contest("unknown", 0, 0),
        contest("dear", 0, 0, worth=(3, 30.0)),
        contest("cheap", 0, 0, worth=(1, 0.5)),
        contest("urgent", 1, 0, worth=(1, 900.0)),
        contest("done", 0, 0, worth=(0, 0.0)),
        contest("patient", 0, 0, worth=(1, 900.0), came=time.time() - arrival.LONG_SECONDS - 1),
    ]
    told = contest.log.with_suffix(".told").read_text()
    first.kill()
    for process in others:
        process.join(30)
    order = ["first", "urgent", "patient", "done", "cheap", "dear", "unknown"]
    assert contest.log.read_text().split() == order
    assert "dear: lab: waiting for its turn, 0 before it (3 cells for 30 device-hours)\n" in told
    assert "cheap: lab: waiting for its turn, 0 before it (1 cell for 0.5 device-hours)\n" in told, (
        "it passes the one that came before it"
    )
    assert (
        "done: lab: waiting for its turn, 1 before it (0 cells for 0 device-hours); "
        "next is urgent (priority 1, 1 cell for 900 device-hours)\n"
    ) in told


def test_a_place_follows_from_the_tickets_alone() -> None:
    def ticket(name: str, **known: float) -> arrival.Ticket:
        return arrival.Ticket(name, **({"priority": 0, "came": 0.0} | known))

    cheap, dear = ticket("cheap", cells=1, hours=1.0), ticket("dear", cells=2, hours=4.0)
    early, late = ticket("a", came=1.0), ticket("b", came=2.0)
    for order in ([dear, late, cheap, early], [early, cheap, late, dear]):
        sorted_ = sorted(order, key=lambda t: t.place(10.0))
        assert [t.name for t in sorted_] == ["cheap", "dear", "a", "b"]
    after = arrival.LONG_SECONDS + 1.5
    assert min([cheap, early, late], key=lambda t: t.place(after)).name == "cheap", (
        "all have waited: the first to come"
    )
    assert arrival.Ticket("x", 0, 1.0).reason(after + 10).startswith("has waited 12 h")


def test_a_job_killed_while_it_waits_holds_nobody_up(contest) -> None:
    first = contest("first", 0, 600)
    waiting = contest("killed", 5, 0)
    last = contest("last", 0, 0)
    waiting.kill()
    waiting.join()
    first.kill()
    last.join(30)
    assert last.exitcode == 0
    assert contest.log.read_text().split() == ["first", "last"]

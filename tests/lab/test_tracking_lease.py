"""Who holds a run, and which of two that were made for one digest stands."""

from __future__ import annotations

import itertools
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from lab.tracking import layout
from lab.tracking.lease import expired, here, known_dead, owner_of, taken, this_process
from lab.tracking.once import Seen, by_digest
from lab.tracking.tracker import LEASE_SECONDS, Lease, RunRecord, Scalar, Status
from tests.lab.toy import toy_spec


def test_this_process_is_alive_and_named_by_host_pid_and_start() -> None:
    place, pid, started = this_process().split(":")
    assert (place, int(pid)) == (here(), os.getpid())
    assert started.isdigit()
    assert not known_dead(this_process())


def test_a_process_that_ended_is_known_to_be_dead_even_before_it_is_waited_for() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = owner_of(process.pid)
    assert not known_dead(owner)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie
    assert known_dead(owner)
    process.wait()
    assert known_dead(owner)


def test_a_later_process_with_the_same_pid_is_another_owner() -> None:
    assert known_dead(f"{here()}:{os.getpid()}:1")


def test_nothing_is_known_of_processes_elsewhere() -> None:
    assert not known_dead("elsewhere:1:1")


@pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="no namespaces")
def test_another_host_of_the_same_name_is_elsewhere() -> None:
    """Every host's first pid namespace has the same number; no two boots have."""
    space = re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink()))
    assert not known_dead(f"{socket.gethostname()}~{space}:1:1")
    assert not known_dead(f"{socket.gethostname()}~{space}-01234567:1:1")


@pytest.mark.parametrize(
    ("silence", "gone"), [(0, False), (LEASE_SECONDS - 1, False), (LEASE_SECONDS + 1, True)]
)
def test_an_owner_elsewhere_loses_its_lease_by_silence_and_one_here_does_not(
    silence: float, gone: bool
) -> None:
    assert expired(Lease("elsewhere:1:1", 1000.0), now=1000.0 + silence) is gone
    assert not expired(Lease(this_process(), 1000.0), now=1000.0 + silence)


def test_the_refusal_names_the_process_and_the_host() -> None:
    assert taken("toy", "far~4026:17:99").startswith("toy is being run by process 17 on far: ")


def test_a_claim_counts_as_a_sign_of_life_before_any_tag_says_so() -> None:
    old = {layout.OWNER: "a:1:1", layout.BEAT: "1000.0"}
    params = {layout.claim(1): "a:1:1@900.000", layout.claim(2): layout.claimed("b:2:2", 5000.0)}
    assert layout.lease_of(old, params) == Lease("b:2:2", 5000.0)
    assert layout.lease_of(old | {layout.OWNER: "b:2:2", layout.BEAT: "6000"}, params) == Lease(
        "b:2:2", 6000.0
    )
    assert layout.lease_of(old, {}) == Lease("a:1:1", 1000.0)


class Maker:
    """One of several processes that make a run for one digest at the same time, a step at a time."""

    def __init__(self, name: str, age: float, world: dict[str, str]) -> None:
        self.name, self.age, self.world = name, (age, name), world
        self.rivals: list[str] = []
        self.won: bool | None = None

    def steps(self) -> list[str]:
        return ["create", "look", "settle", "claim"]

    def take(self, step: str, makers: dict[str, Maker]) -> None:
        if self.won is False:
            return
        if step == "create":
            self.world[self.name] = ""
        elif step == "look":
            self.rivals = [
                name for name in self.world if name != self.name and self.world[name] != layout.VOID
            ]
        elif step == "settle":
            for name in self.rivals:
                params = {layout.claim(1): self.world[name]} if self.world[name] else {}
                if layout.is_void(params):
                    continue
                if layout.must_yield(self.age, makers[name].age, params):
                    self.won = False
                    return
                self.world[name] = layout.VOID
        else:
            self.won = self.world[self.name] == ""
            self.world[self.name] = self.world[self.name] or "claimed"


def test_of_two_or_three_who_make_a_run_at_once_exactly_one_holds_it_in_every_order_of_events() -> None:
    for ages in ((1.0, 2.0), (2.0, 1.0), (1.0, 1.0)):
        for order in orders(2):
            assert winners(order, ages) == 1
    for order in itertools.islice(orders(3), 0, None, 7):
        assert winners(order, (2.0, 1.0, 3.0)) == 1


def orders(makers: int) -> itertools.chain[tuple[int, ...]]:
    """Every interleaving of four steps of each maker."""

    def merge(left: tuple[int, ...]) -> list[tuple[int, ...]]:
        if not any(left):
            return [()]
        return [
            (who, *rest)
            for who, many in enumerate(left)
            if many
            for rest in merge(tuple(n - (i == who) for i, n in enumerate(left)))
        ]

    return itertools.chain(merge((4,) * makers))


def winners(order: tuple[int, ...], ages: tuple[float, ...]) -> int:
    world: dict[str, str] = {}
    makers = {f"run {i}": Maker(f"run {i}", age, world) for i, age in enumerate(ages)}
    names, pending = list(makers), [iter(maker.steps()) for maker in makers.values()]
    for who in order:
        makers[names[who]].take(next(pending[who]), makers)
    return sum(maker.won is True for maker in makers.values())


@given(
    some.lists(
        some.lists(some.tuples(some.sampled_from(["a", "pace/b"]), some.integers(0, 5), some.floats()))
    )
)
def test_the_last_value_of_a_step_stands_and_of_the_pace_the_first(
    calls: list[list[tuple[str, int, float]]],
) -> None:
    """NaN is a value like any other. Nothing is written twice in a row."""
    seen, kept = Seen(), []
    for values in calls:
        kept += seen.admit([Scalar(*value) for value in values])
    expected: dict[tuple[str, int], str] = {}
    for name, step, number in (value for values in calls for value in values):
        if name == "a" or (name, step) not in expected:
            expected[name, step] = repr(number + 0.0)
    assert {(s.name, s.step): repr(s.value + 0.0) for s in kept} == expected
    again = Seen(kept)
    assert again.admit([Scalar(name, step, float(number)) for (name, step), number in expected.items()]) == []


def test_of_several_runs_of_a_digest_the_first_complete_one_stands() -> None:
    def run(run_id: str, status: Status, started: float) -> RunRecord:
        return RunRecord(run_id, "d", "toy", status, 0, "{}", {}, started=started)

    runs = [run("a", Status.STOPPED, 1), run("b", Status.COMPLETE, 3), run("c", Status.COMPLETE, 2)]
    for order in itertools.permutations(runs):
        assert by_digest(order)["d"].run_id == "c"
    assert by_digest(runs[:1])["d"].run_id == "a"


def test_parameters_are_the_dotted_paths_of_the_specification() -> None:
    params = layout.parameters(toy_spec(seed=4))
    assert params["seed"] == "4"
    assert params["model"] == "ToyModel"
    assert params["model.hidden"] == "8"
    assert params["optimizer.lr"] == "0.01"

"""What a person sees of a sweep."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import Ablation, Resources, Settings
from lab.agenda import AblationAgenda
from lab.commands.screen import Screen
from lab.drive import Drive
from lab.tracking.lease import this_process
from lab.tracking.memory import MemoryTracker
from lab.tracking.recorder import Recorder
from lab.tracking.tracker import Scalar, Status
from lab.trial import Work
from tests.lab.sweeping import sweep_of


class Terminal(io.StringIO):
    """Shows what a terminal would: goes up and clears as it is told."""

    def isatty(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        shown: list[str] = []
        for part in re.split(r"(\x1b\[\d+A\r\x1b\[J)", self.getvalue()):
            if up := re.match(r"\x1b\[(\d+)A", part):
                del shown[-int(up[1]) :]
            else:
                shown += part.splitlines()
        return shown


@pytest.fixture
def sweep(tmp_path: Path) -> Drive:
    return driving(tmp_path, lambda text: None)


def driving(tmp_path: Path, say: Callable[[str], object]) -> Drive:
    found = sweep_of("ablation", cases=3)
    assert isinstance(found, Ablation)
    tracker, me = MemoryTracker(), this_process()
    settings = Settings("memory", str(tmp_path), str(tmp_path / "saved"), str(tmp_path / "data"))
    drive = Drive(
        found, AblationAgenda(found), tracker.group("toys", kind="ablation", scale="laptop", owner=me),
        resources=Resources(), settings=settings, tracker=tracker, say=say,
    )  # fmt: skip
    drive.attach(Recorder(lambda: tracker, me), 2)
    return drive


def test_the_screen_shows_what_every_worker_does_and_how_far_the_sweep_is(sweep: Drive) -> None:
    terminal = Terminal()
    screen = Screen(lambda spec: 21, terminal, now=lambda: 1e9)
    first, second = sweep.propose("1"), sweep.propose("2")
    assert isinstance(first, Work)
    assert isinstance(second, Work)
    assert isinstance(sweep.propose("3"), Work)
    sweep.begun("1")
    sweep.begun("2")
    first.sink.log([Scalar("train/loss", 7, 0.5), Scalar("lr", 7, 0.01), Scalar("validation/top1", 7, 0.25)])
    first.sink.log([Scalar("train/loss", 9, 0.4), Scalar("pace/step_seconds", 9, 0.1)])
    screen.show(sweep)
    summary, one, two, three = terminal.lines
    assert summary == "toys  0/3 done, 3 running, 0 failed"
    assert one.startswith("  hidden 2 seed 0  step 9/21  loss 0.4  validation/top1 25.0%  ")
    assert two.startswith("  hidden 3 seed 0  starting  ")
    assert three.startswith("  hidden 4 seed 0  waiting for a place  ")


def test_lines_that_stay_stand_above_the_block_and_the_block_is_drawn_again(tmp_path: Path) -> None:
    terminal = Terminal()
    clock = iter(range(0, 1000, 10))
    screen = Screen(lambda spec: 21, terminal, now=lambda: next(clock))
    sweep = driving(tmp_path, screen.say)
    sweep.propose("1")
    screen.show(sweep)
    sweep.finish("1", Status.FAILED, "as the test wants")
    screen.show(sweep)
    ended, summary = terminal.lines
    assert ended.startswith("hidden 2 seed 0: failed as the test wants in ")
    assert summary == "toys  1/3 done, 1 failed, ETA 0s"
    screen.close()
    assert terminal.lines == [ended]


def test_elsewhere_than_in_a_terminal_only_the_lines_that_stay_are_written(sweep: Drive) -> None:
    file = io.StringIO()
    screen = Screen(lambda spec: 21, file, now=lambda: 1e9)
    sweep.propose("1")
    screen.show(sweep)
    screen.say("a line")
    screen.show(sweep)
    screen.close()
    assert file.getvalue() == "a line\n"


def test_a_small_terminal_shows_what_fits(sweep: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("LINES", "4")
    terminal: Any = Terminal()
    for trial in "123":
        sweep.propose(trial)
    Screen(lambda spec: 21, terminal, now=lambda: 1e9).show(sweep)
    assert [len(line) for line in terminal.lines] == [19, 19]

"""What is shown of a run, in a terminal and in a file."""

import io

import pytest
import torch

from lab.train import progress
from lab.train.loop import Evaluated, Lost, Resumed, Saved, Stepped
from lab.train.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = [100.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return now


def step(number: int) -> Stepped:
    return Stepped(number, 100, torch.tensor(0.41234), 0.01)


def test_a_file_gets_one_line_per_evaluation(clock):
    stream = io.StringIO()
    line = ProgressLine("digits", 32, stream)
    for number in (1, 2, 3):
        line(step(number))
    line(Evaluated(3, {"validation/top1": 0.9123, "validation/loss": 0.3, "validation/top5": 1.0}))
    line(Saved(3))
    line.close()
    assert stream.getvalue() == "digits  step 3/100  loss 0.4123  validation/top1 91.2%\n"


def test_rate_and_remaining_time_follow_from_steps_and_the_clock(clock):
    """Ten steps in two seconds are five a second: 160 examples a second; 88 more steps take 18 seconds."""
    line = ProgressLine("digits", 32, io.StringIO())
    line(step(2))
    line(step(12))
    assert line.text(102.0).endswith("160 examples/s  0:18 left")


def test_a_terminal_has_one_line_that_is_rewritten_and_left_standing(clock):
    stream = Terminal()
    line = ProgressLine("digits", 32, stream)
    for number in range(1, 101):
        clock[0] += 0.01
        line(step(number))
    line.close()
    drawn = stream.getvalue()
    assert drawn.count("\n") == 1
    assert drawn.endswith("\n")
    assert 5 <= drawn.count("\r") <= 20
    assert "step 100/100" in drawn.split("\r")[-1]


def test_a_line_is_never_wider_than_the_terminal(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    stream = Terminal()
    line = ProgressLine("a-name-that-is-longer-than-this-terminal-is-wide", 32, stream)
    line(step(1))
    assert {len(part) for part in stream.getvalue().split("\r") if part} == {29}


def test_a_continued_run_says_from_where(clock):
    stream = io.StringIO()
    ProgressLine("digits", 32, stream)(Resumed(40))
    assert stream.getvalue() == "digits  continuing after step 40\n"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (42, "0:42"), (61, "1:01"), (3723, "1:02:03")])
def test_times_read_as_on_a_clock(seconds, text):
    assert progress.clock(seconds) == text


def test_a_silence_is_shown_for_how_long_it_lasts(clock):
    stream = Terminal()
    line = ProgressLine("digits", 32, stream)
    line(step(1))
    for _ in range(75):
        clock[0] += 1
        line.tick()
    assert "nothing heard" not in line.text(109.9)
    assert stream.getvalue().split("\r")[-1].rstrip().endswith("nothing heard for 1:15")
    line(step(2))
    assert "nothing heard" not in line.text(clock[0])


def test_before_the_first_event_a_run_is_starting(clock):
    line = ProgressLine("digits", 32, Terminal())
    assert line.text(clock[0] + 12) == "digits  starting, 0:12"


def test_what_befell_the_workers_is_said_and_the_pace_is_that_of_the_new_ones(clock):
    stream = io.StringIO()
    line = ProgressLine("digits", 32, stream)
    line(step(10))
    line(Lost("worker 1 died"))
    line(Resumed(8))
    clock[0] += 100
    line(step(9))
    line(step(10))
    assert stream.getvalue().splitlines() == [
        "digits  lost its workers: worker 1 died",
        "digits  continuing after step 8",
    ]
    assert line.text(200.5).endswith("64 examples/s  0:45 left")


def test_the_wish_to_stop_is_answered_once(clock):
    stream = Terminal()
    line = ProgressLine("digits", 32, stream)
    line(step(1))
    for _ in range(3):
        line.tick(stopping=True)
    assert stream.getvalue().count("stopping: a checkpoint is written (Ctrl-C again gives the run up)") == 1


def test_before_the_first_step_no_checkpoint_is_promised(clock):
    stream = Terminal()
    ProgressLine("digits", 32, stream).tick(stopping=True)
    assert "stopping: nothing is trained yet (Ctrl-C again gives the run up)" in stream.getvalue()

"""How a sweep is told of in words."""

from __future__ import annotations

import math

import pytest

from lab.tally import Tally, span, told
from lab.tracking.tracker import RunRecord, Status


def run(status: Status = Status.COMPLETE, value: float | None = None, **tags: str) -> RunRecord:
    metrics = {} if value is None else {"validation/top1": value}
    return RunRecord("id", "d", "toy", status, 0, "{}", metrics, tags)


def test_the_line_counts_what_was_done_and_estimates_what_is_left() -> None:
    tally = Tally(36, "validation/top1", concurrent=2)
    tally.add(run(value=0.90), 10.0)
    tally.add(run(value=0.953), 6.0)
    tally.add(run(value=0.91), None)
    tally.running = 2
    # 33 are left, 8 s each on average, two at a time
    assert tally.line() == "3/36 done, 2 running, 0 failed, best validation/top1 0.953, ETA 2m12s"
    assert tally.reused == 1


def test_the_best_value_follows_the_direction_and_no_number_is_never_best() -> None:
    tally = Tally(3, "validation/top1", "minimize")
    for value in (math.nan, 0.5, 0.7):
        tally.add(run(value=value), 1.0)
    assert tally.best == 0.5


def test_a_run_that_was_stopped_or_pruned_is_never_best_and_only_a_stopped_one_is_still_to_do() -> None:
    tally = Tally(3, "validation/top1")
    tally.add(run(Status.STOPPED, 0.9), 1.0)
    tally.add(run(Status.PRUNED, 0.9), 1.0)
    assert tally.best is None
    assert tally.settled == 1


def test_a_failure_is_told_with_its_reason() -> None:
    failed = run(Status.FAILED, reason="the loss is nan at step 3")
    assert (
        told("case a", failed, "validation/top1", 61.0) == "case a: failed the loss is nan at step 3 in 1m01s"
    )
    assert told("case a", run(value=0.5), "validation/top1", 2.0) == "case a: validation/top1 0.500 in 2s"


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0s"), (80, "1m20s"), (3600 * 3 + 300, "3h05m")])
def test_spans_of_time_read_well(seconds: float, words: str) -> None:
    assert span(seconds) == words

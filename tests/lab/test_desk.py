"""Trials between a drive and its lanes."""

from __future__ import annotations

import threading
import time
from typing import Any

from lab.desk import CLOSED, Desk, Outcome, Slip


def slip(name: str) -> Slip:
    return Slip(name, b"")


def done(name: str) -> Outcome:
    return Outcome(name, {"outcome": "complete"})


def test_trials_are_fetched_in_the_order_in_which_they_were_put_and_each_by_one_lane() -> None:
    desk = Desk()
    desk.put([slip("1"), slip("2"), slip("3")])
    fetched: list[Any] = [desk.fetch(lane, patience=0) for lane in ("a", "b", "a", "b")]
    assert [one and one.trial for one in fetched] == ["1", "2", "3", None]


def test_an_outcome_is_taken_once() -> None:
    desk = Desk()
    desk.put([slip("1")])
    desk.fetch("a", patience=0)
    desk.fetch("a", done("1"), patience=0)
    assert [outcome.trial for outcome in desk.put([]).done] == ["1"]
    assert desk.put([]).done == []


def test_a_trial_is_told_to_have_begun_once_it_is_fetched_and_since_when() -> None:
    desk = Desk()
    assert desk.put([slip("1")]).begun == []
    before = time.monotonic()
    desk.fetch("a", patience=0)
    (begun,) = desk.put([]).begun
    assert (begun.trial, begun.lane) == ("1", "a")
    assert 0 <= begun.ago <= time.monotonic() - before
    assert desk.put([]).begun == []


def test_a_lane_that_waits_gets_what_is_put_meanwhile() -> None:
    desk, got = Desk(), list[Any]()
    waiting = threading.Thread(target=lambda: got.append(desk.fetch("a", patience=30)))
    waiting.start()
    desk.put([slip("1")])
    waiting.join(30)
    assert got == [slip("1")]


def test_what_a_lost_lane_had_can_be_put_again_and_its_late_outcome_does_not_count() -> None:
    desk = Desk()
    desk.put([slip("1")])
    desk.fetch("a", patience=0)
    assert desk.lose("a") == "1"
    assert desk.lose("a") is None
    desk.put([slip("1")])
    assert desk.fetch("b", patience=0) == slip("1")
    desk.fetch("a", done("1"), patience=0)
    assert desk.put([]).done == []
    desk.fetch("b", done("1"), patience=0)
    assert desk.put([]).done == [done("1")]


def test_a_closed_desk_sends_lanes_home_once_it_is_empty() -> None:
    desk = Desk()
    desk.put([slip("1")])
    desk.close()
    assert desk.fetch("a", patience=0) == slip("1")
    assert desk.fetch("a", done("1"), patience=0) == CLOSED


def test_a_process_that_was_lost_and_comes_back_gets_no_trial_and_takes_none_from_its_follower() -> None:
    desk = Desk()
    desk.put([slip("1"), slip("2")])
    assert desk.fetch("a", patience=0, life="before the cut") == slip("1")
    assert desk.lose("a") == "1"
    desk.put([slip("1")])
    assert desk.fetch("a", done("1"), patience=0, life="before the cut") == CLOSED
    assert desk.fetch("a", patience=0, life="after it") == slip("2"), "nothing was taken meanwhile"
    assert desk.fetch("a", done("2"), patience=0, life="before the cut") == CLOSED
    assert desk.fetch("a", done("2"), patience=0, life="after it") == slip("1")
    assert [outcome.trial for outcome in desk.put([]).done] == ["2"]
    assert desk.lose("a") == "1", "the follower's, whatever the other said"


def test_a_process_that_is_lost_while_it_waits_at_the_desk_is_not_given_the_next_trial() -> None:
    desk, got = Desk(), list[Any]()
    waiting = threading.Thread(target=lambda: got.append(desk.fetch("a", patience=30, life="first")))
    waiting.start()
    while "a" not in desk._lives:
        time.sleep(0.001)
    assert desk.lose("a") is None
    desk.put([slip("1")])
    waiting.join(30)
    assert got == [CLOSED]
    assert desk.fetch("b", patience=0, life="another") == slip("1")


def test_the_first_question_of_a_new_process_ends_the_one_before() -> None:
    desk = Desk()
    desk.fetch("a", patience=0, life="first")
    desk.fetch("a", patience=0, life="second")
    desk.put([slip("1")])
    assert desk.fetch("a", patience=0, life="first") == CLOSED
    assert desk.fetch("a", patience=0, life="second") == slip("1")

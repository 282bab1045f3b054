"""What was submitted from a machine, as it remembers it: the only trace of a job whose head is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import submitted


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    return tmp_path


def test_a_job_is_remembered_until_it_is_seen_to_end() -> None:
    submitted.note("a1", "sweep-table6-a1-1", "sweep table6")
    submitted.note("b2", "train-x-b2-1", "train x")
    assert [noted.name for noted in submitted.unended([])] == ["sweep-table6-a1-1", "train-x-b2-1"]
    submitted.forget("sweep-table6-a1-1")
    assert [noted.command for noted in submitted.unended([])] == ["train x"]
    assert submitted.unended(["train-x-b2-1"]) == []


def test_a_command_submitted_again_is_remembered_as_its_latest_job() -> None:
    submitted.note("a1", "sweep-table6-a1-1", "sweep table6")
    submitted.note("a1", "sweep-table6-a1-2", "sweep table6")
    submitted.forget("sweep-table6-a1-1")
    assert [noted.name for noted in submitted.unended([])] == ["sweep-table6-a1-2"]


def test_a_lost_job_is_told_of_with_the_command_that_continues_it() -> None:
    from lab.commands.jobs import last_words, lost
    from lab.submit import Job

    def job(name: str, status: str) -> Job:
        return Job(name, status, "sweep table6", "a1", 0, 1.0, None, "")

    submitted.note("a1", "sweep-table6-a1-1", "sweep table6")
    assert list(lost([job("sweep-table6-a1-1", "RUNNING")])) == []
    (told,) = lost([])
    assert "lost" in told
    assert "`lab submit sweep table6` continues it" in told
    assert list(lost([job("sweep-table6-a1-1", "SUCCEEDED")])) == []
    assert list(lost([])) == [], "what was seen to end is not lost later"
    assert last_words("one\ntwo\r three \n\n") == "three"

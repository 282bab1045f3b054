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


def test_a_job_whose_turn_has_not_come_is_shown_as_waiting_with_the_reason_for_its_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from argparse import Namespace

    from lab import submit
    from lab.arrival import Ticket, waiting
    from lab.commands.jobs import jobs

    other = Ticket("train-x-b2-1", 0, 1.0, 2, 0.5)
    said = waiting(Ticket("sweep-table6-a1-1", 0, 0.0, 3, 30.0), [other], 2.0)

    class Cluster:
        def all(self) -> list[submit.Job]:
            return [
                submit.Job("sweep-table6-a1-1", "RUNNING", "sweep table6", "a1", 0, 1.0, None, ""),
                submit.Job("train-y-c3-1", "RUNNING", "train y", "c3", 0, 1.0, None, ""),
            ]

        def logs(self, name: str) -> str:
            return f"accepted\n{said}\n" if name.startswith("sweep") else "step 3\n"

    monkeypatch.setattr(submit, "Jobs", Cluster)
    jobs(Namespace(all=False, last=10))
    first, why, second, last = capsys.readouterr().out.splitlines()
    assert first.split()[0] == "waiting"
    assert why.strip() == (
        "1 before it (3 cells for 30 device-hours); next is train-x-b2-1 (2 cells for 0.5 device-hours)"
    )
    assert second.split()[0] == "running"
    assert last.strip() == "step 3"

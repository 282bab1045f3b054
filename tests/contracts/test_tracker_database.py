"""Reading MLflow's database directly says what its client says, and can do no harm."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lab.tracking.mlflow import MlflowTracker
from lab.tracking.tracker import Scalar, Status
from tests.contracts.runs import ME, begin, settings_for
from tests.lab.toy import toy_spec


def test_the_database_says_of_every_run_what_the_client_says(database: str, tmp_path: Path) -> None:
    from lab.tracking.mlflow import MlflowTracker

    tracker = MlflowTracker(settings_for(database, tmp_path))
    assert tracker._database is not None
    parent = tracker.group("table6", kind="ablation", scale="laptop", owner=ME)
    for seed, status in enumerate((Status.COMPLETE, Status.FAILED, Status.PRUNED, Status.RUNNING)):
        run = tracker.begin(toy_spec(seed=seed), name="a", owner=ME, tags={"case": "x"}, parent=parent.run_id)
        tracker.log(run.run_id, [Scalar("a", 1, math.nan), Scalar("b", 1, math.inf), Scalar("b", 2, 0.1)])
        if status is not Status.RUNNING:
            tracker.end(run.run_id, status, reason="" if status is Status.COMPLETE else "so")
    tracker._client.delete_run(begin(tracker, toy_spec(seed=9)).run_id)
    digests = [toy_spec(seed=seed).digest for seed in range(10)]
    direct = tracker.find(digests), tracker.runs(), tracker.runs(parent=parent.run_id, tags={"case": "x"})
    histories = sorted(tracker.histories([run.run_id for run in direct[1]]).items())
    tracker._database = None
    client = tracker.find(digests), tracker.runs(), tracker.runs(parent=parent.run_id, tags={"case": "x"})
    assert repr(direct) == repr(client)  # as text, since no nan equals another
    ids = [run.run_id for run in direct[1]]
    assert repr(histories) == repr(sorted(tracker.histories(ids).items()))
    assert len(direct[0]) == 4


def test_runs_are_found_that_others_made_since_and_after_rows_were_removed_or_numbered_anew(
    sqlite: str, tmp_path: Path
) -> None:
    one, two = (MlflowTracker(settings_for(sqlite, tmp_path)) for _ in range(2))
    digests, made = [toy_spec(seed=seed).digest for seed in range(6)], list[str]()
    for seed in range(4):
        made.append(begin(two, toy_spec(seed=seed)).run_id)
        assert {run.run_id for run in one.find(digests).values()} == set(made)
    with closing(sqlite3.connect(sqlite.removeprefix("sqlite:///"))) as database:
        for run_id in (made.pop(0), made.pop()):  # the first, and the last that was read
            for table in ("tags", "params", "runs"):
                database.execute(f"DELETE FROM {table} WHERE run_uuid = ?", [run_id])
        database.commit()
        database.execute("VACUUM")
    for seed in (4, 5):
        made.append(begin(two, toy_spec(seed=seed)).run_id)
        assert {run.run_id for run in one.find(digests).values()} == set(made)


def test_a_database_of_another_schema_is_left_to_the_client(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lab.tracking.mlflow import MlflowTracker

    monkeypatch.setattr("lab.tracking.database.SCHEMA", "another")
    tracker = MlflowTracker(settings_for(database, tmp_path))
    assert tracker._database is None
    run = begin(tracker, toy_spec())
    assert tracker.find([run.digest])[run.digest].run_id == run.run_id


def test_reading_the_database_directly_can_write_nothing(database: str, tmp_path: Path) -> None:
    from lab.tracking import database as direct
    from lab.tracking.mlflow import MlflowTracker

    MlflowTracker(settings_for(database, tmp_path))
    with direct._connected(database) as ask, pytest.raises(Exception, match=r"read-?only"):
        ask("DELETE FROM tags", {})

"""The embedded record is there whole or not at all: killed while it is made, made twice, of an old schema."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from lab.errors import RecordError
from lab.settings import Settings
from lab.tracking.mlflow import MlflowTracker, newest_schema

ROOT = Path(__file__).parents[2]
OPEN = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine
from lab.settings import Settings
from lab.tracking.mlflow import MlflowTracker

home, last_words = sys.argv[1:]

@event.listens_for(Engine, "after_cursor_execute")
def die(connection, cursor, statement, *rest):
    if last_words and " ".join(statement.split()).startswith(last_words):
        os.kill(os.getpid(), signal.SIGKILL)

MlflowTracker(Settings.load({}, Path(home)))
"""


def opener(home: Path, last_words: str = "") -> subprocess.Popen[str]:
    """A process that opens the record and ends, or is killed after a statement that begins like that."""
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(ROOT)])}
    return subprocess.Popen(
        [sys.executable, "-c", OPEN, str(home), last_words],
        env=os.environ | paths,
        stderr=subprocess.PIPE,
        text=True,
    )


def revision(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


@pytest.mark.parametrize(
    "last_words",
    [
        "CREATE TABLE _alembic_tmp_trace_tags",
        "DROP TABLE trace_tags",
        "INSERT INTO experiments",
    ],
)
def test_killed_while_it_is_made_the_record_opens_the_next_time(tmp_path: Path, last_words: str) -> None:
    process = opener(tmp_path, last_words)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert MlflowTracker(Settings.load({}, tmp_path)).runs() == []
    assert not list(tmp_path.glob("*.new*"))


def test_several_who_open_a_new_record_at_once_all_get_it(tmp_path: Path) -> None:
    processes = [opener(tmp_path) for _ in range(3)]
    assert [process.communicate()[1] for process in processes] == [""] * 3
    assert [process.returncode for process in processes] == [0] * 3


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A record as the version of MLflow before the last migration would have left it, with one experiment."""
    from alembic import command
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config, create_sqlalchemy_engine
    from mlflow.store.tracking.dbmodels.initial_models import Base

    path = tmp_path / "record.db"
    config = _get_alembic_config(f"sqlite:///{path}")
    script = ScriptDirectory.from_config(config)
    before = script.get_revision(script.get_current_head() or "").down_revision
    engine = create_sqlalchemy_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, str(before))
    engine.dispose()
    with closing(sqlite3.connect(path)) as plain:
        plain.execute("PRAGMA journal_mode = WAL")
        plain.execute(
            "INSERT INTO experiments (name, artifact_location, lifecycle_stage, workspace) "
            "VALUES ('perceiver', 'file:///files', 'active', 'default')"
        )
        plain.commit()
    assert revision(path) != newest_schema()
    return path


def test_a_record_of_an_older_mlflow_is_migrated_with_what_is_in_it(old: Path) -> None:
    tracker = MlflowTracker(Settings.load({}, old.parent))
    assert revision(old) == newest_schema()
    assert tracker._client.get_experiment_by_name("perceiver").artifact_location == "file:///files"


def test_a_record_that_another_process_has_open_is_not_migrated_away_from_it(old: Path) -> None:
    with closing(sqlite3.connect(old)) as other:
        other.execute("SELECT * FROM experiments").fetchall()
        before = revision(old)
        with pytest.raises(RecordError, match="another process has it open: end that one first"):
            MlflowTracker(Settings.load({}, old.parent))
        assert revision(old) == before
    MlflowTracker(Settings.load({}, old.parent))


def test_a_record_that_cannot_be_migrated_is_left_as_it_was(old: Path) -> None:
    with closing(sqlite3.connect(old)) as plain:
        plain.execute("UPDATE alembic_version SET version_num = 'of another world'")
        plain.commit()
    with pytest.raises(RecordError, match=r"cannot bring the record .* the file is as it was") as refusal:
        MlflowTracker(Settings.load({}, old.parent))
    assert "\n" not in str(refusal.value)
    assert revision(old) == "of another world"

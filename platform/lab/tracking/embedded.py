"""The embedded record: one SQLite file that is there whole or not at all.

MLflow makes and migrates its tables in many transactions, and what a kill leaves between two of them it never
opens again. So both are done to a file beside the record, which then takes the record's place in one step.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from lab.errors import RecordError, TrackingUnreachable

PATIENCE = 20.0
"""seconds that a statement waits for a lock of SQLite"""


@contextmanager
def opening(uri: str, newest: Callable[[], str], migrate: Callable[[str], object]) -> Iterator[None]:
    """Inside the context the SQLite file at `uri` is there and of the newest schema, and nobody else is in
    this context. Other addresses are left to themselves.

    newest: says that schema's revision. migrate(uri): brings an empty or older database to it. Raises
    TrackingUnreachable where there can be no file, RecordError where it cannot be migrated; it is then as it
    was.
    """
    if not uri.startswith("sqlite:///"):
        yield
        return
    path = Path(uri.removeprefix("sqlite:///").partition("?")[0])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f"{path.name}.lock").open("ab")
    except OSError as fault:
        raise _unopened(path, fault) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # ends with the process, however that ends
        try:
            if _revision(path) != newest():
                _replace(path, migrate)
            _keep_a_log_of_writes(path)
        except (OSError, sqlite3.Error) as fault:
            raise _unopened(path, fault) from None
        yield


def _revision(path: Path) -> str | None:
    """The schema of a file by its own word; None where MLflow has not been."""
    if not path.exists():
        return None
    with closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            return None
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or (None,)
        return revision


def _replace(path: Path, migrate: Callable[[str], object]) -> None:
    """Put a migrated copy, or a first database, where the file is or will be."""
    new = path.with_name(f"{path.name}.new")
    for left_by_a_kill in new.parent.glob(f"{new.name}*"):
        left_by_a_kill.unlink()
    if path.exists():
        _gather(path)
        shutil.copyfile(path, new)
    try:
        migrate(f"sqlite:///{new}")
    except Exception as fault:
        words = str(fault).strip().partition("\n")[0][:200]
        raise RecordError(
            f"MLflow cannot bring the record {path} to its present schema ({words}): the file is as it was; "
            "move it away, or set LAB_HOME to another folder."
        ) from None
    _gather(new)
    with new.open("rb") as file:
        os.fsync(file.fileno())
    new.replace(path)


def _gather(path: Path) -> None:
    """Bring all that was written into the one file. SQLite refuses while anybody else has it open, whose
    writes would be lost with a file that is replaced."""
    try:
        with closing(sqlite3.connect(path, timeout=1.0)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.OperationalError as fault:
        if "locked" not in str(fault):
            raise
        raise RecordError(
            f"the record {path} was made by another version of MLflow, and another process has it open: end "
            "that one first (`lab ui` too), then repeat this command."
        ) from None


def _keep_a_log_of_writes(path: Path) -> None:
    """Write-ahead mode, in which readers never wait."""
    with closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()


def _unopened(path: Path, fault: Exception) -> TrackingUnreachable:
    return TrackingUnreachable(f"the record {path} cannot be opened ({fault}): set LAB_TRACKING.")

"""Reading many runs at once, from the database behind the record instead of through MLflow's client.

The client's searches take no list of digests and cost more than a millisecond a run; here a table's runs come
in a handful of statements. Nothing is ever written, and only the one schema that is known here is read: where
it is another, or a server stands before the database, the caller asks the client.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from lab.errors import RecordError
from lab.tracking import address, layout
from lab.tracking.embedded import PATIENCE
from lab.tracking.tracker import RunRecord

SCHEMA = "dc11669786a5"
"""of MLflow 3.17"""
RUNS_PER_STATEMENT = 500
FEW = 20
"""digests that are looked up one by one, rather than by reading everybody's"""
_RUN_ID = re.compile(r"[0-9a-f]{32}")

Statement = Callable[[str, Mapping[str, Any]], Iterable[Sequence[Any]]]
"""SQL with :names, and their values -> rows"""


class Digests:
    """Which runs have which digest, as far as it was read: MLflow has no index by a tag's value, and to read
    everybody's for each run of a sweep of 10,000 would take more than all else. SQLite numbers the rows of a
    table as they come, so that those after the last one known are the new ones."""

    def __init__(self) -> None:
        self._runs: defaultdict[str, list[str]] = defaultdict(list)
        self._last = (0, "")
        self._lock = Lock()

    def pairs(self, ask: Statement, wanted: Collection[str]) -> list[tuple[str, str]]:
        """(run, digest) of every run with one of these digests."""
        with self._lock:
            self._read_on(ask)
            return [(run, digest) for digest in wanted for run in self._runs.get(digest, ())]

    def _read_on(self, ask: Statement) -> None:
        at, run = self._last
        known = {"at": at, "run": run, "key": layout.DIGEST}
        if not ask("SELECT 1 FROM tags WHERE rowid = :at AND run_uuid = :run AND key = :key", known):
            at = 0  # nothing is known, or rows were removed or numbered anew
            self._runs.clear()
        # The sign before the column keeps SQLite from reading everybody's by the index of keys.
        sql = "SELECT rowid, run_uuid, value FROM tags WHERE rowid > :at AND +key = :key ORDER BY rowid"
        for row, run, digest in ask(sql, known | {"at": at}):
            self._runs[digest].append(run)
            self._last = row, run


@dataclass(frozen=True)
class Database:
    """The active runs of one MLflow experiment. Any number of threads may ask."""

    uri: str
    experiment_id: str
    digests: Digests = field(default_factory=Digests, compare=False, repr=False)

    def find(self, digests: Collection[str]) -> list[RunRecord]:
        """Every run of these digests. Raises RecordError."""
        wanted = set(digests)
        with self._asking() as ask:
            sql = f"SELECT run_uuid, value FROM tags WHERE key = '{layout.DIGEST}'"  # noqa: S608 a constant
            if self.uri.startswith("sqlite"):
                pairs: Sequence[Sequence[Any]] = self.digests.pairs(ask, wanted)
            elif len(wanted) <= FEW:
                pairs = [
                    pair for one in wanted for pair in ask(f"{sql} AND value = :digest", {"digest": one})
                ]
            else:
                pairs = [(run, digest) for run, digest in ask(sql, {}) if digest in wanted]
            return self._records(ask, [run for run, _ in pairs])

    def runs(self, parent: str | None, tags: Mapping[str, str | None]) -> list[RunRecord]:
        """Runs with a digest, of this parent and with these tags as they are stored (None: any value), oldest
        first. Raises RecordError."""
        clauses = [(layout.DIGEST, None), *tags.items()]
        clauses += [(layout.PARENT, parent)] if parent is not None else []
        with self._asking() as ask:
            found: set[str] | None = None
            for key, value in clauses:
                sql, given = "SELECT run_uuid FROM tags WHERE key = :key", {"key": key}
                if value is not None:
                    sql, given = f"{sql} AND value = :value", given | {"value": value}
                ids = {run for (run,) in ask(sql, given)}
                found = ids if found is None else found & ids
            return self._records(ask, found or ())

    def histories(self, run_ids: Iterable[str]) -> dict[str, dict[str, list[tuple[int, float]]]]:
        """Run -> metric -> its (step, value) pairs in order of step, one per step. Raises RecordError."""
        curves: dict[str, dict[str, dict[int, float]]] = {}
        with self._asking() as ask:
            for ids in _chunks(run_ids):
                sql = (
                    f"SELECT run_uuid, key, step, value, is_nan FROM metrics WHERE run_uuid IN ({ids}) "  # noqa: S608
                    "ORDER BY run_uuid, key, step, timestamp"
                )
                for run, key, step, value, is_nan in ask(sql, {}):
                    curve = curves.setdefault(run, {}).setdefault(key, {})
                    curve[step] = _value(value, is_nan)  # the last one stands
        return {run: {key: list(curve.items()) for key, curve in of.items()} for run, of in curves.items()}

    def _records(self, ask: Statement, run_ids: Iterable[str]) -> list[RunRecord]:
        """The active ones among these runs, oldest first; without those whose maker gave way."""
        rows: list[Sequence[Any]] = []
        tags, params = defaultdict[str, dict[str, str]](dict), defaultdict[str, dict[str, str]](dict)
        metrics = defaultdict[str, dict[str, float]](dict)
        for ids in _chunks(run_ids):
            of = f"run_uuid IN ({ids})"
            rows += ask(
                f"SELECT run_uuid, status, start_time, end_time FROM runs WHERE {of} "  # noqa: S608
                "AND lifecycle_stage = 'active' AND experiment_id = :experiment",
                {"experiment": int(self.experiment_id)},
            )
            own = {"own": layout.OWN, "parent": layout.PARENT}
            ours = f"(substr(key, 1, {len(layout.OWN)}) = :own OR key = :parent)"
            for run, key, text in ask(
                f"SELECT run_uuid, key, value FROM tags WHERE {of} AND {ours}",  # noqa: S608
                own,
            ):
                tags[run][key] = text
            claims = "SELECT run_uuid, key, value FROM params WHERE key >= :low AND key < :high"
            low = layout.claim(0)[:-1]
            for run, key, text in ask(f"{claims} AND {of}", {"low": low, "high": low[:-1] + "/"}):
                params[run][key] = text
            for run, key, value, is_nan in ask(
                f"SELECT run_uuid, key, value, is_nan FROM latest_metrics WHERE {of}",  # noqa: S608
                {},
            ):
                metrics[run][key] = _value(value, is_nan)
        rows.sort(key=lambda row: (row[2], row[0]))
        return [
            layout.record_of(
                run, word=word, tags=tags[run], params=params[run], metrics=metrics[run],
                milliseconds=(started, ended),
            )
            for run, word, started, ended in rows
            if not layout.is_void(params[run])
        ]  # fmt: skip

    @contextmanager
    def _asking(self) -> Iterator[Statement]:
        with _connected(self.uri) as ask:
            try:
                yield ask
            except Exception as fault:
                words = str(fault).partition("\n")[0][:200]
                if not self.uri.startswith("sqlite"):
                    raise address.unreachable(self.uri, words) from None
                raise RecordError(f"the record {self.uri} cannot be read: {words}.") from None


def behind(uri: str, experiment_id: str) -> Database | None:
    """The database at a tracking address, or None where it cannot be read directly: a server, or a schema
    that is not known here."""
    if not uri.startswith(("sqlite:///", "postgresql")):
        return None
    try:
        with _connected(uri) as ask:
            ((schema,),) = ask("SELECT version_num FROM alembic_version", {})
    except Exception:  # whatever a driver raises: the client finds its own way, or says what is wrong
        return None
    return Database(uri, experiment_id) if schema == SCHEMA else None


def _connected(uri: str) -> AbstractContextManager[Statement]:
    return _sqlite(uri) if uri.startswith("sqlite") else _server(uri)


@contextmanager
def _sqlite(uri: str) -> Iterator[Statement]:
    path = uri.removeprefix("sqlite:///").partition("?")[0]
    name = f"file:{path.replace('%', '%25').replace('#', '%23').replace('?', '%3f')}?mode=ro"
    with closing(sqlite3.connect(name, uri=True, timeout=PATIENCE)) as connection:
        connection.execute("BEGIN")  # one state of the record, whatever is written meanwhile
        yield lambda sql, values: connection.execute(sql, values).fetchall()


@contextmanager
def _server(uri: str) -> Iterator[Statement]:
    import sqlalchemy  # MLflow's own, with whatever driver the address names

    engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)
    reading = {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}
    with engine.connect().execution_options(**reading) as connection:
        yield lambda sql, values: connection.execute(sqlalchemy.text(sql), dict(values)).all()


def _chunks(run_ids: Iterable[str]) -> Iterator[str]:
    """The ids as they stand in a statement. Nothing but an id of MLflow's is let through."""
    ids = [f"'{run}'" for run in run_ids if _RUN_ID.fullmatch(run)]
    for start in range(0, len(ids), RUNS_PER_STATEMENT):
        yield ",".join(ids[start : start + RUNS_PER_STATEMENT])


def _value(stored: float, is_nan: int | bool) -> float:
    return math.nan if is_nan else layout.restored(stored)

"""The record in MLflow: an embedded SQLite database by default, or a server.

Runs are found by the tag of their digest. How they lie in tags and parameters is `layout`'s matter; here is
the talking.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab.errors import RecordError, RunTaken, TrackingUnreachable
from lab.settings import Settings
from lab.spec import ExperimentSpec
from lab.tracking import address, database, embedded, layout
from lab.tracking.claims import NOTHING, Claims, Wanted, clause
from lab.tracking.found import Found, found
from lab.tracking.lease import expired, lost, taken
from lab.tracking.leases import Leases
from lab.tracking.once import LAPSED, Seen, by_digest, may_end
from lab.tracking.tracker import LEASE_SECONDS, RunRecord, Scalar, Status

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
}
for _name, _value in QUIET.items():  # read while MLflow is imported
    os.environ.setdefault(_name, _value)

from mlflow import MlflowClient  # noqa: E402
from mlflow.db import upgrade  # noqa: E402
from mlflow.entities import Metric, Param, Run, RunTag  # noqa: E402
from mlflow.exceptions import MlflowException, RestException  # noqa: E402
from mlflow.store.db.utils import _get_latest_schema_revision as newest_schema  # noqa: E402

METRICS_PER_CALL = 1000
ENTRIES_PER_CALL = 100
"""parameters or tags"""
RUNS_PER_PAGE = 1000
SERVER_ERRORS = 500
"""where the codes of HTTP begin that say the fault is none of ours"""
SEARCHES_AT_ONCE = 4
"""of a server, which takes one digest at a time"""


class MlflowTracker:
    """A `Tracker` over MLflow's client. Safe to use from several threads and from any number of processes."""

    def __init__(self, settings: Settings) -> None:
        """Opens the record, creating database and experiment where they are new. Raises
        TrackingUnreachable."""
        self.uri = settings.tracking
        self.experiment = settings.experiment
        _be_quiet()
        address.require_answer(self.uri)
        with embedded.opening(self.uri, newest=newest_schema, migrate=upgrade.callback):
            self._client: Any = _Client(self.uri)
            served = self.uri.startswith("http")  # a server keeps files where it was told to
            self._experiment_id = self._open_experiment(None if served else settings.artifacts)
        self._database = database.behind(self.uri, self._experiment_id)
        self._leases = Leases(self._client, self._experiment_id)
        self._claims = Claims(
            self._client, self._experiment_id, self._leases, self._pages, self._write, known=self._known
        )
        self._seen: dict[str, Seen] = {}
        self._moment = 0
        self._doubtful: dict[str, dict[Scalar, int]] = {}
        """when values were first written that may have arrived: what a silent server still holds is then
        the same entry when it is sent again"""
        self._lock = threading.Lock()

    def begin(
        self,
        spec: ExperimentSpec,
        *,
        name: str,
        owner: str,
        tags: Mapping[str, str],
        parent: str | None = None,
    ) -> RunRecord:
        stored = layout.identity(spec) | layout.written(tags) | {layout.NAME: name}
        if parent is not None:
            stored[layout.PARENT] = parent
        return self._claims.acquire(
            Wanted(
                layout.DIGEST, spec.digest, stored, layout.parameters(spec),
                f"{name} seed {spec.seed}", owner, again=False,
            )
        ).record  # fmt: skip

    def group(self, name: str, *, kind: str, scale: str, owner: str) -> RunRecord:
        stored = layout.written({"kind": kind, "scale": scale}) | {layout.NAME: name}
        return self._claims.acquire(
            Wanted(layout.GROUP, f"{kind}/{name}/{scale}", stored, {}, f"{name} ({scale})", owner, again=True)
        ).record

    def parent(self, name: str, *, kind: str, scale: str) -> RunRecord | None:
        found = self._claims.standing(layout.GROUP, f"{kind}/{name}/{scale}")
        return found.record if found else None

    def beat(self, run_ids: Iterable[str], owner: str) -> set[str]:
        asked = set(run_ids)

        def lost() -> set[str]:
            running = self._search(clause(layout.OWNER, owner), "attributes.status = 'RUNNING'")
            missed = asked - {found.record.run_id for found in running if found.lease.owner == owner}
            # Pages are counted off: where a run ends between two of them, the next one skips another run.
            return {run_id for run_id in missed if not self._has(owner, self._read(run_id))}

        return self._leases.renew(owner, lost)

    def log(self, run_id: str, scalars: Sequence[Scalar]) -> None:
        with self._lock:
            new = self._seen_of(run_id).admit(scalars)
            self._moment = now = max(time.time_ns() // 1_000_000, self._moment + 1)  # the later one stands
            times = self._doubtful.setdefault(run_id, {})
            metrics = [Metric(s.name, float(s.value), times.setdefault(s, now), s.step) for s in new]
            try:
                self._write(run_id, metrics=metrics)
            except RecordError:
                self._seen.pop(run_id, None)  # how much of it arrived is for the record to say
                raise
            del self._doubtful[run_id]

    def forget(self, run_id: str) -> None:
        with self._lock:
            self._seen.pop(run_id, None)
            self._doubtful.pop(run_id, None)

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        self._tag(run_id, layout.written(tags))

    def attach(self, run_id: str, path: Path, folder: str = "") -> None:
        try:
            self._client.log_artifact(run_id, str(path), folder or None)
        except RecordError:
            raise
        except Exception as fault:  # each kind of store says in its own way that it is not there
            raise address.no_store(self.uri, _words(fault) or type(fault).__name__) from None

    def text(self, run_id: str, file: str) -> str | None:
        with TemporaryDirectory() as folder:
            try:
                return Path(self._client.download_artifacts(run_id, file, folder)).read_text(encoding="utf-8")
            except TrackingUnreachable:
                raise
            except (RecordError, OSError):  # each kind of store says in its own way that it has no such file
                return None

    def end(self, run_id: str, status: Status, *, owner: str | None = None, reason: str = "") -> None:
        if owner is None:
            found = self._read(run_id, self._leases.beats())
            self._leases.mark({found.lease.owner})
        else:
            found = self._read(run_id, {owner: self._leases.renewed(owner)})
            if time.time() - found.lease.beat > LEASE_SECONDS / 2:
                self.beat([run_id], owner)  # so that nobody takes it between the look and the end
                found = self._read(run_id, {owner: self._leases.renewed(owner)})
            if not may_end(found.record, status, found.lease.owner, owner):
                raise RunTaken(lost(found.record.name))
        self._close(found, status, reason)

    def require_free(self, run_id: str) -> None:
        found = self._read(run_id, self._leases.beats())
        if layout.held(found.record, found.lease, found.claimed):
            raise RunTaken(taken(found.record.name, found.lease.owner))

    def retire(self, run_id: str, reason: str) -> None:
        self.require_free(run_id)
        self._tag(run_id, {layout.RETIRED: reason[: 2 * layout.TEXT]})
        self._client.delete_run(run_id)
        self.forget(run_id)

    def _close(self, found: Found, status: Status, reason: str) -> None:
        # The tags first: it is the tracker's own status that makes a run complete, in one write.
        run_id = found.record.run_id
        ending = layout.written({"status": status.value} | ({"reason": reason} if reason else {}))
        if found.record.status is Status.RUNNING:
            ending |= found.worked()
        self._tag(run_id, ending)
        for name in () if reason else LAPSED:
            if name in found.record.tags:
                self._client.delete_tag(run_id, layout.OWN + name)
        self._client.set_terminated(run_id, layout.phase(status))
        with self._lock:
            self._seen.pop(run_id, None)

    def find(self, digests: Iterable[str]) -> dict[str, RunRecord]:
        wanted = list(dict.fromkeys(digests))
        if self._database is not None:
            return by_digest(self._database.find(wanted))
        with ThreadPoolExecutor(SEARCHES_AT_ONCE) as pool:
            found = pool.map(lambda digest: self._search(clause(layout.DIGEST, digest)), wanted)
            return by_digest(run.record for runs in found for run in runs)

    def runs(
        self, *, parent: str | None = None, tags: Mapping[str, str | None] | None = None
    ) -> list[RunRecord]:
        stored = {layout.stored(name): value for name, value in (tags or {}).items()}
        if self._database is not None:
            return self._database.runs(parent, stored)
        clauses = [f"tags.`{layout.DIGEST}` != ''", *(clause(name, value) for name, value in stored.items())]
        clauses += [clause(layout.PARENT, parent)] if parent is not None else []
        return [found.record for found in self._search(*clauses)]

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        values: dict[int, float] = {}
        for entry in sorted(
            self._client.get_metric_history(run_id, metric), key=lambda m: (m.step, m.timestamp)
        ):
            values[entry.step] = layout.restored(entry.value)  # the last one stands
        return list(values.items())

    def histories(self, run_ids: Collection[str]) -> dict[str, dict[str, list[tuple[int, float]]]]:
        if self._database is not None:
            return self._database.histories(run_ids)
        with ThreadPoolExecutor(SEARCHES_AT_ONCE) as pool:
            runs = pool.map(self._client.get_run, run_ids)
            return {
                r.info.run_id: {name: self.history(r.info.run_id, name) for name in r.data.metrics}
                for r in runs
            }

    def reconcile(self) -> list[RunRecord]:
        status = f"tags.`{layout.STATUS}`"
        running = [
            run
            for clause in (f"{status} = '{Status.RUNNING}'", f"{status} != '{Status.RUNNING}'")
            for run in self._pages(["attributes.status = 'RUNNING'", clause])
        ]
        beats = self._leases.beats()
        gone = [run for run in running if expired(found(run, beats).lease)]
        self._leases.mark({found(run).lease.owner for run in gone})
        beats = self._leases.beats()
        dead = [self._read(run.info.run_id, beats) for run in gone if not self._claims.clear(run)]
        dead = [run for run in dead if expired(run.lease)]  # somebody may have begun it again meanwhile
        for run in dead:
            self._close(run, Status.STOPPED, "its process is gone")
        self._leases.forget()
        return [self._read(run.record.run_id).record for run in dead]

    def summary(self) -> Mapping[str, Any]:
        return {"tracking": address.shown(self.uri), "experiment": self.experiment, "open": "lab ui"}

    def _known(self, key: str, value: str) -> set[str] | None:
        if self._database is None or key != layout.DIGEST:
            return None
        return {record.run_id for record in self._database.find([value])}

    def _tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        self._write(run_id, tags=tags)

    def _write(
        self,
        run_id: str,
        *,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, str] = NOTHING,
        tags: Mapping[str, str] = NOTHING,
    ) -> None:
        """Several small things in as few calls as MLflow takes; the first parameters come first."""
        for start in range(0, len(metrics), METRICS_PER_CALL):
            self._client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_CALL])
        for some in batched([Param(*item) for item in params.items()]):
            self._client.log_batch(run_id, params=some)
        for some in batched([RunTag(*item) for item in tags.items()]):
            self._client.log_batch(run_id, tags=some)

    def _seen_of(self, run_id: str) -> Seen:
        if run_id not in self._seen:
            metrics = self._client.get_run(run_id).data.metrics
            self._seen[run_id] = Seen(
                Scalar(name, step, value) for name in metrics for step, value in self.history(run_id, name)
            )
        return self._seen[run_id]

    def _has(self, owner: str, found: Found) -> bool:
        return found.record.status is Status.RUNNING and found.lease.owner == owner

    def _read(self, run_id: str, beats: Mapping[str, float] = layout.NO_BEATS) -> Found:
        return found(self._client.get_run(run_id), beats)

    def _search(self, *clauses: str) -> list[Found]:
        return [found(run) for run in self._pages(clauses) if not layout.is_void(run.data.params)]

    def _pages(self, clauses: Sequence[str]) -> Iterator[Run]:
        token: str | None = None
        while True:
            page = self._client.search_runs(
                [self._experiment_id],
                filter_string=" and ".join(clauses),
                max_results=RUNS_PER_PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def _open_experiment(self, artifacts: str | None) -> str:
        for _ in range(2):
            known = self._client.get_experiment_by_name(self.experiment)
            if known is not None and known.lifecycle_stage == "active":
                return str(known.experiment_id)
            if known is not None:
                raise RecordError(
                    f"the MLflow experiment {self.experiment!r} was deleted: restore it, or name another one "
                    "in LAB_EXPERIMENT."
                )
            try:
                return str(
                    self._client.create_experiment(self.experiment, artifact_location=_as_uri(artifacts))
                )
            except TrackingUnreachable:
                raise
            except RecordError:  # somebody created it just now
                continue
        raise RecordError(
            f"the MLflow experiment {self.experiment!r} cannot be opened at {address.shown(self.uri)}."
        )


class _Client:
    """MLflow's client with its faults told in one line."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        try:
            self._client = MlflowClient(uri)
            self._client.search_experiments(max_results=1)
        except Exception as fault:
            raise _told(fault, uri) from None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return method(*args, **kwargs)
            except MlflowException as fault:
                raise _told(fault, self._uri) from None

        return call


def _words(fault: Exception) -> str:
    return str(fault).strip().partition("\n")[0][:300]


def _told(fault: Exception, uri: str) -> RecordError:
    words = _words(fault)
    if isinstance(fault, RestException):
        away = fault.get_http_status_code() >= SERVER_ERRORS
    else:  # of the request, not of its answer
        away = words.startswith("API request to")
    if away:
        return address.unreachable(uri, words)
    return RecordError(f"the record at {address.shown(uri)} refuses: {address.shown(words, uri)}")


def _be_quiet() -> None:
    for name, level in {
        "alembic": logging.WARNING,
        "mlflow": logging.ERROR,
        "mlflow.store.db": logging.CRITICAL,
    }.items():
        logging.getLogger(name).setLevel(level)


def batched(entries: Sequence[Any]) -> list[Sequence[Any]]:
    """In pieces that one call takes."""
    return [entries[at : at + ENTRIES_PER_CALL] for at in range(0, len(entries), ENTRIES_PER_CALL)]


def _as_uri(place: str | None) -> str | None:
    return place if place is None or "://" in place else Path(place).absolute().as_uri()

"""The record in MLflow: an embedded SQLite database by default, or a server.

Runs are found by the tag of their digest. How they lie in tags and parameters is `layout`'s matter; here is
the talking.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

from lab.errors import RecordError, RunTaken, TrackingUnreachable
from lab.settings import Settings
from lab.spec import ExperimentSpec
from lab.tracking import address, embedded, layout
from lab.tracking.lease import expired, taken
from lab.tracking.once import LAPSED, Seen, by_digest, standing
from lab.tracking.tracker import Lease, RunRecord, Scalar, Status

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
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


class Found(NamedTuple):
    """A run as it was read, with who holds it."""

    record: RunRecord
    lease: Lease
    attempts: int
    claimed: float
    """when the last attempt was"""

    def worked(self) -> dict[str, str]:
        """The tag of what an attempt under way took: to its last sign of life where its owner is dead."""
        end = self.lease.beat if expired(self.lease) else time.time()
        return layout.worked(self.record.attempts, max(0.0, end - (self.record.since or end)))


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
        self._seen: dict[str, Seen] = {}
        self._doubtful: dict[str, dict[tuple[str, int], int]] = {}
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
        found = self._acquire(
            layout.DIGEST, spec.digest, stored, f"{name} seed {spec.seed}", owner, again=False
        )
        if found.record.status is Status.RUNNING:
            params = layout.parameters(spec)
            self._write(found.record.run_id, params=[Param(path, value) for path, value in params.items()])
        return found.record

    def group(self, name: str, *, kind: str, scale: str, owner: str) -> RunRecord:
        stored = layout.written({"kind": kind, "scale": scale}) | {layout.NAME: name}
        return self._acquire(
            layout.GROUP, f"{kind}/{name}/{scale}", stored, f"{name} ({scale})", owner, again=True
        ).record

    def parent(self, name: str, *, kind: str, scale: str) -> RunRecord | None:
        found = self._standing(layout.GROUP, f"{kind}/{name}/{scale}")
        return found.record if found else None

    def beat(self, run_ids: Iterable[str], owner: str) -> set[str]:
        now = f"{time.time():.3f}"
        running = self._search(_is(layout.OWNER, owner), "attributes.status = 'RUNNING'")
        mine = {found.record.run_id for found in running if found.lease.owner == owner}
        for run_id in mine & (asked := set(run_ids)):
            self._client.set_tag(run_id, layout.BEAT, now)
        return asked - mine

    def log(self, run_id: str, scalars: Sequence[Scalar]) -> None:
        with self._lock:
            new, now = self._seen_of(run_id).admit(scalars), time.time_ns() // 1_000_000
            times = self._doubtful.setdefault(run_id, {})
            metrics = [
                Metric(s.name, float(s.value), times.setdefault((s.name, s.step), now), s.step) for s in new
            ]
            try:
                self._write(run_id, metrics=metrics)
            except RecordError:
                self._seen.pop(run_id, None)  # how much of it arrived is for the record to say
                raise
            del self._doubtful[run_id]

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        self._tag(run_id, layout.written(tags))

    def attach(self, run_id: str, path: Path, folder: str = "") -> None:
        self._client.log_artifact(run_id, str(path), folder or None)

    def end(self, run_id: str, status: Status, *, reason: str = "") -> None:
        # The tags first: it is the tracker's own status that makes a run complete, in one write.
        found = self._read(run_id)
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
        return by_digest(f.record for digest in wanted for f in self._search(_is(layout.DIGEST, digest)))

    def runs(
        self, *, parent: str | None = None, tags: Mapping[str, str | None] | None = None
    ) -> list[RunRecord]:
        clauses = [f"tags.`{layout.DIGEST}` != ''"]
        clauses += [_is(layout.stored(name), value) for name, value in (tags or {}).items()]
        clauses += [_is(layout.PARENT, parent)] if parent is not None else []
        return [found.record for found in self._search(*clauses)]

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        values: dict[int, float] = {}
        for entry in sorted(
            self._client.get_metric_history(run_id, metric), key=lambda m: (m.step, m.timestamp)
        ):
            values.setdefault(entry.step, layout.restored(entry.value))
        return list(values.items())

    def reconcile(self) -> list[RunRecord]:
        running = self._search("attributes.status = 'RUNNING'", _is(layout.STATUS, Status.RUNNING))
        running += self._search(
            "attributes.status = 'RUNNING'", f"tags.`{layout.STATUS}` != '{Status.RUNNING}'"
        )
        dead = [found.record.run_id for found in running if expired(found.lease)]
        for run_id in dead:
            self.end(run_id, Status.STOPPED, reason="its process is gone")
        return [self._read(run_id).record for run_id in dead]

    def summary(self) -> Mapping[str, Any]:
        return {"tracking": address.shown(self.uri), "experiment": self.experiment, "open": "lab ui"}

    def _acquire(
        self, key: str, value: str, tags: Mapping[str, str], title: str, owner: str, *, again: bool
    ) -> Found:
        """The one run whose tag `key` is `value`, under a lease of `owner`; `again`: even if it is
        complete."""
        for _ in range(10):
            known = self._standing(key, value)
            if known is not None and known.record.status is Status.COMPLETE and not again:
                return known
            if known is not None and layout.held(known.record, known.lease, known.claimed):
                raise RunTaken(taken(known.record.name, known.lease.owner))
            if known is not None:
                run_id = self._take(known, owner, tags)
            else:
                run_id = self._create(key, value, tags, title, owner)
            if run_id is not None:
                return self._read(run_id)
        raise RunTaken(f"{title}: other processes keep taking it, repeat this command.")

    def _create(self, key: str, value: str, tags: Mapping[str, str], title: str, owner: str) -> str | None:
        """A new run that `owner` holds, or None where another process was first."""
        now = time.time()
        state = {key: value, layout.STATUS: Status.RUNNING.value, layout.ATTEMPTS: "1"}
        lease = {layout.OWNER: owner, layout.BEAT: f"{now:.3f}"}
        run = self._client.create_run(
            self._experiment_id, start_time=int(now * 1000), tags={**tags, **state, **lease}, run_name=title
        )
        mine = run.info.run_id
        rivals = [
            r
            for r in self._pages([_is(key, value)])
            if r.info.run_id != mine and not layout.is_void(r.data.params)
        ]
        yields = any(
            layout.must_yield(_age(run), _age(rival), rival.data.params) or not self._void(rival.info.run_id)
            for rival in rivals
        )
        if not yields and self._write_once(mine, layout.claim(1), layout.claimed(owner, now)):
            return str(mine)
        self._client.delete_run(mine)
        return None

    def _void(self, run_id: str) -> bool:
        """Take the first claim of a run so that it never counts; False if its maker has claimed it."""
        done = self._write_once(run_id, layout.claim(1), layout.VOID)
        return done or bool(self._client.get_run(run_id).info.lifecycle_stage == "deleted")

    def _take(self, known: Found, owner: str, tags: Mapping[str, str]) -> str | None:
        """An unfinished or grown run for one more attempt, or None where another process was first."""
        run_id, attempt, now = known.record.run_id, known.attempts + 1, time.time()
        if not self._write_once(run_id, layout.claim(attempt), layout.claimed(owner, now)):
            return None
        state = {layout.STATUS: Status.RUNNING.value, layout.ATTEMPTS: str(attempt)}
        state |= {layout.OWNER: owner, layout.BEAT: f"{now:.3f}"}
        if known.record.status is Status.RUNNING:
            state |= known.worked()
        self._tag(run_id, layout.continued(self._client.get_run(run_id).data.tags, tags) | state)
        self._client.update_run(run_id, status="RUNNING")
        return run_id

    def _standing(self, key: str, value: str) -> Found | None:
        return min(self._search(_is(key, value)), key=lambda found: standing(found.record), default=None)

    def _write_once(self, run_id: str, name: str, text: str) -> bool:
        """Set a parameter that nobody else can set any more; False if somebody has."""
        try:
            self._client.log_param(run_id, name, text)
        except TrackingUnreachable:
            raise
        except RecordError:
            pass
        return bool(self._client.get_run(run_id).data.params.get(name) == text)

    def _tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        self._write(run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def _write(
        self,
        run_id: str,
        *,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
    ) -> None:
        """Several small things in as few calls as MLflow takes."""
        for start in range(0, len(metrics), METRICS_PER_CALL):
            self._client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_CALL])
        for start in range(0, len(params), ENTRIES_PER_CALL):
            self._client.log_batch(run_id, params=params[start : start + ENTRIES_PER_CALL])
        for start in range(0, len(tags), ENTRIES_PER_CALL):
            self._client.log_batch(run_id, tags=tags[start : start + ENTRIES_PER_CALL])

    def _seen_of(self, run_id: str) -> Seen:
        if run_id not in self._seen:
            metrics = self._client.get_run(run_id).data.metrics
            self._seen[run_id] = Seen(
                (name, step) for name in metrics for step, _ in self.history(run_id, name)
            )
        return self._seen[run_id]

    def _read(self, run_id: str) -> Found:
        return _found(self._client.get_run(run_id))

    def _search(self, *clauses: str) -> list[Found]:
        return [_found(run) for run in self._pages(clauses) if not layout.is_void(run.data.params)]

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


def _told(fault: Exception, uri: str) -> RecordError:
    words = str(fault).strip().partition("\n")[0][:300]
    if words.startswith("API request to") and not isinstance(
        fault, RestException
    ):  # the request, not its answer
        return address.unreachable(uri, words)
    return RecordError(f"the record at {address.shown(uri)} refuses: {address.shown(words, uri)}")


def _be_quiet() -> None:
    for name, level in {
        "alembic": logging.WARNING,
        "mlflow": logging.ERROR,
        "mlflow.store.db": logging.CRITICAL,
    }.items():
        logging.getLogger(name).setLevel(level)


def _found(run: Run) -> Found:
    info, data = run.info, run.data
    times = (info.start_time, info.end_time)
    held = {"tags": data.tags, "params": data.params, "metrics": data.metrics}
    record = layout.record_of(info.run_id, word=info.status, milliseconds=times, **held)
    attempts, claimed = layout.attempts(data.params), layout.claimed_at(data.params)
    return Found(record, layout.lease_of(data.tags, data.params), attempts, claimed)


def _age(run: Run) -> tuple[float, str]:
    return run.info.start_time, run.info.run_id


def _is(name: str, value: str | None) -> str:
    """The clause for a tag of that value, None for any."""
    if value is None:
        return f"tags.`{name}` LIKE '%'"
    quote = '"' if "'" in value else "'"
    return f"tags.`{name}` = {quote}{value}{quote}"


def _as_uri(place: str | None) -> str | None:
    return place if place is None or "://" in place else Path(place).absolute().as_uri()

"""The one who writes down, for a whole command, what its workers measure, and who keeps its lease alive.

A plain class, so that it can be an actor of a cluster (`cluster.recorder`) or live in the process that
trains.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from lab.errors import RecordError, RunTaken, TrackingUnreachable
from lab.settings import PATIENCE_SECONDS
from lab.tracking.lease import known_dead, lost
from lab.tracking.patience import Patience
from lab.tracking.spool import Keepsake, Spool
from lab.tracking.tracker import LEASE_SECONDS, Scalar, Tracker

WRITE_SECONDS = 0.5
WRITE_SCALARS = 500
BEAT_SECONDS = LEASE_SECONDS / 4
WAITING_SCALARS = 100_000
"""in memory, before they are put into the spool; some ten megabytes"""
LONGEST_PAUSE_SECONDS = 5.0

log = logging.getLogger(__name__)


class Recorder:
    """Writes in batches, on a thread of its own, into the runs that `owner` has begun and that were given to
    `hold`.

    What comes for any other run is dropped, and once the owner is dead everything is: whoever repeats its
    command must not meet a ghost. While the record is away, what comes is kept in memory; `flush` and `keep`
    wait for it for `patience` seconds, and after that put what waits into the spool, if there is one, from
    where it is delivered when the record is back. Any number of threads may call.
    """

    def __init__(
        self,
        connect: Callable[[], Tracker],
        owner: str,
        patience: float = PATIENCE_SECONDS,
        spool: Spool | None = None,
    ) -> None:
        self.owner = owner
        self._patience, self._spool = Patience(patience), spool
        self._connect = connect
        self._connected: Tracker | None = None
        self._held: set[str] = set()
        self._lost: set[str] = set()
        """what another process holds now, or has closed, since nothing was heard of us for too long"""
        self._waiting: defaultdict[str, list[Scalar]] = defaultdict(list)
        self._spooled: set[str] = set()
        self._files: dict[str, dict[str, Keepsake]] = defaultdict(dict)
        self._latest: dict[str, dict[str, Scalar]] = defaultdict(dict)
        self._stopping = self._away = False
        self._last_beat = time.monotonic()
        self._waiting_lock, self._writing_lock = threading.Lock(), threading.RLock()
        self._wake, self._closed = threading.Event(), False
        self._thread = threading.Thread(target=self._tend, daemon=True, name="recorder")
        self._thread.start()

    def hold(self, run_id: str) -> None:
        """Take over what is measured in a run; what an earlier attempt has left in the spool is delivered
        first."""
        with self._writing_lock:
            self._held.add(run_id)
            self._lost.discard(run_id)
            if self._left_in_spool(run_id):
                self._spooled.add(run_id)

    def release(self, run_id: str) -> None:
        """Write what is waiting for a run, and nothing more after it. Raises TrackingUnreachable, with the
        run still held, while not everything can be on record, not waiting any longer than for one try; and
        RunTaken where it was not ours to the end."""
        self._write(run_id)
        with self._writing_lock:
            self._held.discard(run_id)
            self._latest.pop(run_id, None)
            if self._connected is not None:
                self._connected.forget(run_id)
            self._require_ours(run_id)

    def log(self, run_id: str, scalars: Sequence[Scalar]) -> None:
        """Take scalars; they are on record after `flush`, or some `WRITE_SECONDS` later."""
        with self._waiting_lock:
            self._waiting[run_id] += scalars
            full = len(self._waiting[run_id]) >= WRITE_SCALARS
        self._latest[run_id].update((scalar.name, scalar) for scalar in scalars)
        if full:
            self._wake.set()

    def flush(self, run_id: str) -> None:
        """Return when everything about a run is on record, or in the spool. Raises TrackingUnreachable when
        the record stays away and there is no spool, RecordError once the owner is dead, and RunTaken once the
        run is not ours any more: what is measured then is dropped, and no checkpoint may lie beyond the
        record."""
        if known_dead(self.owner):
            raise RecordError(
                f"{self.owner} is gone, for which this run was trained: the same command continues it from "
                "its last checkpoint."
            )
        try:
            self._patience.with_call(lambda: self._write(run_id))
        except TrackingUnreachable:
            if self._spool is None:
                raise
            self._put_aside(run_id)
        self._require_ours(run_id)

    def keep(self, run_id: str, file: str, text: str, tags: Mapping[str, str]) -> None:
        """Put a text file and tags with a run, in place of what had their names: at once, or with what is in
        the spool. Raises as `flush` does."""
        with self._writing_lock:
            self._files[run_id][file] = Keepsake(file, text, dict(tags))
        try:
            self._patience.with_call(lambda: self._put_files(run_id))
        except TrackingUnreachable:
            if self._spool is None:
                raise
            self._put_aside(run_id)
        self._require_ours(run_id)

    def request_stop(self) -> None:
        """Ask everybody who trains to stop at the next step."""
        self._stopping = True

    def stopping(self) -> bool:
        return self._stopping

    def latest(self) -> dict[str, dict[str, Scalar]]:
        """Run -> metric -> what was measured last, of the runs that are held."""
        return {run_id: dict(self._latest[run_id]) for run_id in self._held.copy()}

    def sink(self, run_id: str) -> RunSink:
        """What trains a run in this process is given."""
        return RunSink(self, run_id)

    def close(self) -> None:
        """Write everything that is waiting; the thread ends."""
        for run_id in [] if known_dead(self.owner) else list(self._waiting):
            with suppress(RunTaken):
                self.flush(run_id)
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _require_ours(self, run_id: str) -> None:
        if run_id in self._lost:
            raise RunTaken(lost(f"run {run_id}"))

    def _left_in_spool(self, run_id: str) -> bool:
        """Whether anything waits there, or cannot be said not to."""
        try:
            return self._spool is not None and self._spool.holds(run_id)
        except RecordError:
            return True

    @property
    def _tracker(self) -> Tracker:
        with self._writing_lock:
            self._connected = self._connected or self._connect()
            return self._connected

    def _tend(self) -> None:
        pause = WRITE_SECONDS
        while not self._closed:
            self._wake.wait(WRITE_SECONDS)
            self._wake.clear()
            try:
                if time.monotonic() - self._last_beat > BEAT_SECONDS:
                    self._beat()
                for run_id in {*self._waiting, *self._spooled}:
                    self._write(run_id)
                pause = WRITE_SECONDS
            except Exception as fault:  # a full disk, a store of files: leases are to be renewed all the same
                log.warning("%s What is waiting to be written is kept.", fault)
                for run_id in [run_id for run_id, s in self._waiting.items() if len(s) > WAITING_SCALARS]:
                    self._put_aside(run_id)
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _write(self, run_id: str) -> None:
        """What waits in the spool, then what waits here."""
        with self._writing_lock:
            if run_id not in self._held or known_dead(self.owner):
                self._waiting.pop(run_id, None)
                return
            try:
                if self._away:
                    self._beat()  # whoever was away for long may have lost the run
                self._deliver(run_id)
                self._put_files(run_id)
                self._write_waiting(run_id)
            except RecordError:
                self._away = True
                raise
            self._away = False

    def _deliver(self, run_id: str) -> None:
        """What waits in the spool."""
        if self._spool is None or run_id not in self._spooled or run_id not in self._held:
            return
        scalars, keepsakes = self._spool.waiting(run_id)
        self._tracker.log(run_id, scalars)
        self._files[run_id] = {kept.file: kept for kept in keepsakes} | self._files[run_id]
        self._put_files(run_id)
        self._spool.clear(run_id)
        self._spooled.discard(run_id)

    def _write_waiting(self, run_id: str) -> None:
        with self._waiting_lock:
            scalars = self._waiting.pop(run_id, [])
        if not scalars or run_id not in self._held:
            return
        try:
            self._tracker.log(run_id, scalars)
        except RecordError:
            with self._waiting_lock:
                self._waiting[run_id] = scalars + self._waiting[run_id]
            raise

    def _put_files(self, run_id: str) -> None:
        """What is to be kept with a run, each until it is."""
        with self._writing_lock:
            if run_id not in self._held or known_dead(self.owner):
                self._files.pop(run_id, None)
            for file, kept in list(self._files.get(run_id, {}).items()):
                with TemporaryDirectory() as folder:
                    path = Path(folder, file)
                    path.write_text(kept.text)
                    self._tracker.attach(run_id, path)
                self._tracker.tag(run_id, kept.tags)
                del self._files[run_id][file]

    def _put_aside(self, run_id: str) -> None:
        """What waits here, into the spool."""
        with self._writing_lock, self._waiting_lock:
            scalars, files = self._waiting.get(run_id, []), self._files.get(run_id, {})
            if self._spool is None or run_id not in self._held or not (scalars or files):
                return
            if not known_dead(self.owner):
                self._spool.add(run_id, scalars, list(files.values()))
                self._spooled.add(run_id)
                self._waiting.pop(run_id, None)
                self._files.pop(run_id, None)

    def _beat(self) -> None:
        with self._writing_lock:
            self._last_beat = time.monotonic()
            if not known_dead(self.owner):
                gone = self._tracker.beat(self._held, self.owner)
                self._held -= gone
                self._lost |= gone
                for run_id in gone:
                    log.warning(
                        "run %s is held by another process now; nothing more is written to it.", run_id
                    )


class RunSink:
    """A `Sink` into a recorder of the same process; says too whether training should stop."""

    def __init__(self, recorder: Recorder, run_id: str) -> None:
        self._recorder, self._run_id = recorder, run_id

    def log(self, scalars: Sequence[Scalar]) -> None:
        self._recorder.log(self._run_id, scalars)

    def flush(self) -> None:
        self._recorder.flush(self._run_id)

    def keep(self, file: str, text: str, tags: Mapping[str, str]) -> None:
        self._recorder.keep(self._run_id, file, text, tags)

    def should_stop(self) -> bool:
        return self._recorder.stopping()

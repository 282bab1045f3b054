"""The one who writes down, for a whole command, what its workers measure, and who keeps its leases alive.

A plain class, so that it can be an actor of a cluster (`cluster.recorder`) or live in the process that
trains.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from lab.errors import RecordError
from lab.settings import PATIENCE_SECONDS
from lab.tracking.lease import known_dead
from lab.tracking.patience import Patience
from lab.tracking.tracker import LEASE_SECONDS, Scalar, Tracker

WRITE_SECONDS = 0.5
WRITE_SCALARS = 500
BEAT_SECONDS = LEASE_SECONDS / 4
WAITING_SCALARS = 1_000_000
"""some hundred megabytes; a record that is away while more is measured is not waited for"""
LONGEST_PAUSE_SECONDS = 5.0

log = logging.getLogger(__name__)


class Recorder:
    """Writes in batches, on a thread of its own, into the runs that `owner` has begun and that were given to
    `hold`.

    What comes for any other run is dropped, and once the owner is dead everything is: whoever repeats its
    command must not meet a ghost. While the record is away, what comes is kept in memory; `flush` and `keep`
    wait for it for `patience` seconds. Any number of threads may call.
    """

    def __init__(
        self, connect: Callable[[], Tracker], owner: str, patience: float = PATIENCE_SECONDS
    ) -> None:
        self.owner = owner
        self._patience = Patience(patience)
        self._tracker = connect()
        self._held: set[str] = set()
        self._waiting: defaultdict[str, list[Scalar]] = defaultdict(list)
        self._stopping = False
        self._last_beat = time.monotonic()
        self._waiting_lock, self._writing_lock = threading.Lock(), threading.RLock()
        self._wake, self._closed = threading.Event(), False
        self._thread = threading.Thread(target=self._tend, daemon=True, name="recorder")
        self._thread.start()

    def hold(self, run_id: str) -> None:
        """Take over the beat of a run's lease, and what is measured in it."""
        self._held.add(run_id)

    def release(self, run_id: str) -> None:
        """Write what is waiting for a run, and nothing more after it."""
        self.flush(run_id)
        with self._writing_lock:
            self._held.discard(run_id)

    def log(self, run_id: str, scalars: Sequence[Scalar]) -> None:
        """Take scalars; they are on record after `flush`, or some `WRITE_SECONDS` later."""
        with self._waiting_lock:
            self._waiting[run_id] += scalars
            full = len(self._waiting[run_id]) >= WRITE_SCALARS
        if full:
            self._wake.set()

    def flush(self, run_id: str) -> None:
        """Return when everything about a run is on record. Raises TrackingUnreachable when that stays
        away."""
        self._patience.with_call(lambda: self._write(run_id))

    def keep(self, run_id: str, file: str, text: str, tags: Mapping[str, str]) -> None:
        """Put a text file and tags with a run, in place of what had their names. Raises
        TrackingUnreachable when the record stays away."""

        def put() -> None:
            with self._writing_lock, TemporaryDirectory() as folder:
                if run_id in self._held and not known_dead(self.owner):
                    path = Path(folder, file)
                    path.write_text(text)
                    self._tracker.attach(run_id, path)
                    self._tracker.tag(run_id, tags)

        self._patience.with_call(put)

    def request_stop(self) -> None:
        """Ask everybody who trains to stop at the next step."""
        self._stopping = True

    def stopping(self) -> bool:
        return self._stopping

    def sink(self, run_id: str) -> RunSink:
        """What trains a run in this process is given."""
        return RunSink(self, run_id)

    def close(self) -> None:
        """Write everything that is waiting; the thread ends."""
        for run_id in list(self._waiting):
            self.flush(run_id)
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _tend(self) -> None:
        pause = WRITE_SECONDS
        while not self._closed:
            self._wake.wait(WRITE_SECONDS)
            self._wake.clear()
            try:
                for run_id in list(self._waiting):
                    self._write(run_id)
                if time.monotonic() - self._last_beat > BEAT_SECONDS:
                    self._beat()
                pause = WRITE_SECONDS
            except RecordError as fault:
                log.warning("%s What is waiting to be written is kept.", fault)
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _write(self, run_id: str) -> None:
        with self._writing_lock:
            with self._waiting_lock:
                scalars = self._waiting.pop(run_id, [])
            if not scalars or run_id not in self._held or known_dead(self.owner):
                return
            try:
                self._tracker.log(run_id, scalars)
            except RecordError as fault:
                with self._waiting_lock:
                    self._waiting[run_id] = scalars + self._waiting[run_id]
                    waiting = sum(map(len, self._waiting.values()))
                if waiting > WAITING_SCALARS:
                    raise RecordError(f"{fault} {waiting:,} values wait for it, which is too many.") from None
                raise

    def _beat(self) -> None:
        with self._writing_lock:
            self._last_beat = time.monotonic()
            if not known_dead(self.owner):
                lost = self._tracker.beat(self._held, self.owner)
                self._held -= lost
                for run_id in lost:
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

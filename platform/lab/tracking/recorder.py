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

from lab.errors import RecordError, TrackingUnreachable
from lab.tracking.lease import known_dead
from lab.tracking.tracker import LEASE_SECONDS, Scalar, Tracker

WRITE_SECONDS = 0.5
WRITE_SCALARS = 500
BEAT_SECONDS = LEASE_SECONDS / 4
PATIENCE = 60.0
"""seconds that `flush` and `keep` go on trying while the record is away"""

log = logging.getLogger(__name__)


class Recorder:
    """Writes in batches, on a thread of its own, into the runs that `owner` has begun and that were given to
    `hold`.

    What comes for any other run is dropped, and once the owner is dead everything is: whoever repeats its
    command must not meet a ghost.
    """

    def __init__(self, connect: Callable[[], Tracker], owner: str) -> None:
        self.owner = owner
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
        with self._writing_lock:
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
        _patiently(lambda: self._write(run_id))

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

        _patiently(put)

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
        while not self._closed:
            self._wake.wait(WRITE_SECONDS)
            self._wake.clear()
            try:
                for run_id in list(self._waiting):
                    self._write(run_id)
                if time.monotonic() - self._last_beat > BEAT_SECONDS:
                    self._beat()
            except RecordError as fault:
                log.warning("%s What is waiting to be written is kept.", fault)
                time.sleep(WRITE_SECONDS)

    def _write(self, run_id: str) -> None:
        with self._writing_lock:
            with self._waiting_lock:
                scalars = self._waiting.pop(run_id, [])
            if not scalars or run_id not in self._held or known_dead(self.owner):
                return
            try:
                self._tracker.log(run_id, scalars)
            except RecordError:
                with self._waiting_lock:
                    self._waiting[run_id] = scalars + self._waiting[run_id]
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


def _patiently(write: Callable[[], None]) -> None:
    """Again and again while the record is away, for as long as `PATIENCE`."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return write()
        except TrackingUnreachable:
            if time.monotonic() > deadline:
                raise
            time.sleep(2 * WRITE_SECONDS)


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

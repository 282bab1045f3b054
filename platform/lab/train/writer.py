"""Writes a run's checkpoints beside its training, one at a time."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from time import monotonic

from lab.tracking.sink import Sink
from lab.train.checkpoint import Checkpoint, CheckpointStore


class Writer:
    """One thread. What is in a checkpoint is in the record before it can be found."""

    def __init__(self, store: CheckpointStore, sink: Sink) -> None:
        self.store, self.sink = store, sink
        self.seconds = 0.0
        """what the last write took"""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[int] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is being written and nothing that was is waiting to be collected."""
        return self._writing is None

    def begin(self, checkpoint: Checkpoint) -> None:
        """Write, from now on. The tensors must stay as they are until that is done. Only after the one
        before has been collected."""
        self._writing = self._thread.submit(self._write, checkpoint)

    def collect(self, *, wait: bool = False) -> int | None:
        """The step of a checkpoint that is written now and was not before. Raises what its writing raised."""
        if self._writing is None or not (wait or self._writing.done()):
            return None
        wait_for([self._writing])  # interrupted here, it can still be collected
        written, self._writing = self._writing, None
        return written.result()

    def close(self) -> None:
        """Wait for what is being written; the thread ends."""
        self._thread.shutdown()

    def _write(self, checkpoint: Checkpoint) -> int:
        begun = monotonic()
        self.sink.flush()
        self.store.save(checkpoint)
        self.seconds = monotonic() - begun
        return checkpoint.step

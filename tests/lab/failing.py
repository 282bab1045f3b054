"""Toys to which things happen: their workers can be found, take their time, and may want more memory than
there is."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from lab import Batch, ExperimentSpec, Settings, Shard
from tests.lab.toy import WHOLE, ToyData, ToySource


@dataclass(frozen=True)
class WatchedData(ToyData):
    """Whoever reads it leaves its process id under the root. pause: seconds before every batch · starving:
    the last worker asks for an exabyte before its third batch."""

    pause: float = 0.01
    starving: bool = False

    def open(self, root: str) -> WatchedSource:
        readers = Path(root, "readers")
        readers.mkdir(parents=True, exist_ok=True)
        (readers / str(os.getpid())).touch()
        return WatchedSource(self)


class WatchedSource(ToySource):
    data: WatchedData

    def batches(
        self, split: str, *, batch_size: int, seed: int, epoch: int, start: int = 0, shard: Shard = WHOLE
    ) -> Iterator[Batch]:
        inner = super().batches(
            split, batch_size=batch_size, seed=seed, epoch=epoch, start=start, shard=shard
        )
        for number, batch in enumerate(inner):
            time.sleep(self.data.pause)
            if self.data.starving and number == 2 and shard.rank == shard.world - 1:
                torch.empty(2**60, dtype=torch.uint8)
            yield batch


def workers(settings: Settings) -> list[int]:
    """The live processes, other than this one, that opened the data; the oldest first."""
    found = [path for path in Path(settings.data, "readers").glob("*") if Path("/proc", path.name).exists()]
    found = [path for path in found if path.name != str(os.getpid())]
    return [int(path.name) for path in sorted(found, key=lambda path: path.stat().st_mtime)]


@contextmanager
def struck(settings: Settings, spec: ExperimentSpec, number: signal.Signals) -> Iterator[list[int]]:
    """Once the run has a checkpoint, its last worker gets that signal; which one that was."""
    victims: list[int] = []
    over = threading.Event()

    def strike() -> None:
        while not list(Path(settings.storage, spec.digest).glob("step-*")):
            if over.wait(0.05):
                return
        victims.append(workers(settings)[-1])
        os.kill(victims[0], number)

    thread = threading.Thread(target=strike)
    thread.start()
    try:
        yield victims
    finally:
        over.set()
        thread.join()

"""Toys to which things happen: their workers can be found, take their time, and may want more memory than
there is.

    python -m tests.lab.failing HOME TRACKING PATIENCE     # trains one as `lab train` does
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from lab import Batch, Evaluation, Resources, Settings, Shard, Steps
from lab.errors import LabError
from lab.spec import ExperimentSpec
from tests.lab.toy import WHOLE, ToyData, ToySource, toy_spec


@dataclass(frozen=True)
class WatchedData(ToyData):
    """Whoever reads it leaves its process id under the root, with a dot for every batch. pause: seconds
    before every batch · starving: the last worker asks for an exabyte before its third batch · mortal: it
    dies there."""

    pause: float = 0.01
    starving: bool = False
    mortal: bool = False

    def open(self, root: str) -> WatchedSource:
        readers = Path(root, "readers")
        readers.mkdir(parents=True, exist_ok=True)
        reader = readers / str(os.getpid())
        reader.touch()
        return WatchedSource(self, reader)


class WatchedSource(ToySource):
    data: WatchedData

    def __init__(self, data: WatchedData, reader: Path) -> None:
        super().__init__(data)
        self.reader = reader

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
            if self.data.mortal and number == 2 and shard.rank == shard.world - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            with self.reader.open("a") as count:
                count.write(".")
            yield batch


def workers(settings: Settings) -> list[int]:
    """The live processes, other than this one, that opened the data; the oldest first."""
    found = [path for path in Path(settings.data, "readers").glob("*") if Path("/proc", path.name).exists()]
    found = [path for path in found if path.name != str(os.getpid())]
    return [int(path.name) for path in sorted(found, key=lambda path: path.stat().st_mtime)]


def batches_read(settings: Settings) -> int:
    """By all that ever opened the data."""
    return sum(path.stat().st_size for path in Path(settings.data, "readers").glob("*"))


@contextmanager
def each_time_saved(settings: Settings, spec: ExperimentSpec, times: int) -> Iterator[list[int]]:
    """Kills the last worker that began whenever there is a new checkpoint, so many times; whom."""
    victims: list[int] = []
    over = threading.Event()

    def wait_and_kill() -> None:
        seen: set[Path] = set()
        while len(victims) < times and not over.wait(0.05):
            there = set(Path(settings.storage, spec.digest).glob("step-*"))
            if there - seen:
                seen |= there
                victims.append(strike(settings, signal.SIGKILL))

    thread = threading.Thread(target=wait_and_kill)
    thread.start()
    try:
        yield victims
    finally:
        over.set()
        thread.join()


@contextmanager
def once_saved(settings: Settings, spec: ExperimentSpec, do: Callable[[], object]) -> Iterator[list[object]]:
    """Does something beside the block when the run has a checkpoint; what that returned."""
    done: list[object] = []
    over = threading.Event()

    def wait_and_do() -> None:
        while not list(Path(settings.storage, spec.digest).glob("step-*")):
            if over.wait(0.05):
                return
        done.append(do())

    thread = threading.Thread(target=wait_and_do)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()


def strike(settings: Settings, number: signal.Signals) -> int:
    """Send a signal to the last worker that began."""
    victim = workers(settings)[-1]
    os.kill(victim, number)
    return victim


def settings_in(home: str, tracking: str, patience: float) -> Settings:
    folder = Path(home)
    return Settings(
        tracking=tracking, artifacts=str(folder / "files"), storage=str(folder / "checkpoints"),
        data=str(folder / "data"), patience=patience,
    )  # fmt: skip


LONG = toy_spec(
    data=WatchedData(pause=0.04), duration=Steps(1000), evaluation=Evaluation(every=Steps(250), batch_size=64)
)
"""most of a minute"""


def main(home: str, tracking: str, patience: str) -> int:
    from lab.run import run_one
    from lab.tracking.mlflow import MlflowTracker

    settings = settings_in(home, tracking, float(patience))
    try:
        run_one(
            LONG, name="toy", scale="laptop", resources=Resources(cpus=0.5), settings=settings,
            tracker=MlflowTracker(settings),
        )  # fmt: skip
    except LabError as mistake:
        print(f"{type(mistake).__name__}: {mistake}")
        return 2
    return 0


if __name__ == "__main__":
    from tests.lab import failing  # under its own name, by which experiments are told apart

    sys.exit(failing.main(*sys.argv[1:]))

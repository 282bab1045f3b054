"""A few steps of an experiment on the hardware at hand, by the loop that trains, in a process of their own.

For the time and memory of what has no run on record yet. Nothing of it is recorded, and its checkpoints go
nowhere. One worker is measured, with its share of the batch: what several workers exchange is not.
"""

from __future__ import annotations

import multiprocessing
import pickle
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from time import perf_counter

from lab import catalog
from lab.errors import LabError, RunError
from lab.resources import Resources
from lab.settings import Settings
from lab.spec import ExperimentSpec
from lab.tracking.tracker import Scalar

WARM_UP = 3
"""steps that are not counted: memory is taken, kernels are chosen"""
STEPS = 20
ENOUGH_SECONDS = 20.0
"""after which no more steps are made, once two have been counted"""
PATIENCE_SECONDS = 1800


@dataclass(frozen=True)
class Probe:
    """seconds: of each counted step · memory: bytes of the worker at its most"""

    seconds: tuple[float, ...]
    memory: float


def probe(spec: ExperimentSpec, resources: Resources, settings: Settings, steps: int = STEPS) -> Probe:
    """Measure `steps` steps of an experiment. Raises what they raise, and RunError if their process dies."""
    share = spec.override({"batch_size": max(1, spec.batch_size // resources.workers)})
    own = [str(m.__file__) for name, m in sys.modules.items() if name.startswith(catalog.OWN_FILE)]
    here = multiprocessing.get_context("spawn")
    mine, theirs = here.Pipe(duplex=False)
    asked = pickle.dumps((share, resources, settings, steps))
    process = here.Process(target=_serve, args=(theirs, own, asked))
    process.start()
    theirs.close()
    try:
        if not mine.poll(PATIENCE_SECONDS):
            raise RunError(f"a probe of {spec.digest} has not ended in {PATIENCE_SECONDS} s.")
        answer = mine.recv()
    except EOFError:
        process.join()
        raise RunError(
            f"the process that probed {spec.digest} died (exit code {process.exitcode}): short of memory?"
        ) from None
    finally:
        process.kill()
        process.join()
    if isinstance(answer, LabError):
        raise answer
    return Probe(*answer)


def measure(spec: ExperimentSpec, resources: Resources, settings: Settings, steps: int) -> Probe:
    """The same in this process, whose memory then counts with all else that it holds."""
    from torch import set_num_threads

    from lab.train.group import Group
    from lab.train.pace import peak_memory
    from lab.train.run import train

    set_num_threads(max(1, int(resources.cpus)))
    clock = Clock(steps)
    with tempfile.TemporaryDirectory(prefix="lab-probe-") as folder, suppress(Enough):
        train(
            spec,
            data_root=settings.data,
            storage=folder,
            sink=Nowhere(),
            group=Group.alone(gpus=resources.gpus),
            on_event=clock,
            checkpoint_every=PATIENCE_SECONDS,
            execution=resources.execution,
        )
    return Probe(tuple(clock.seconds), peak_memory())


class Enough(Exception):
    """Ends a run that was begun for its first steps."""


class Clock:
    """Sees the events of a run and takes the time of its steps, evaluations not counted."""

    def __init__(self, steps: int, now: Callable[[], float] = perf_counter) -> None:
        self.steps, self.now = steps, now
        self.seconds: list[float] = []
        self._since, self._seen = now(), 0

    def __call__(self, event: object) -> None:
        loss = getattr(event, "loss", None)
        if loss is not None:
            float(loss)  # until the device is through with the step
            self._seen += 1
            if self._seen > WARM_UP:
                self.seconds.append(self.now() - self._since)
        self._since = self.now()
        if len(self.seconds) >= self.steps or (len(self.seconds) > 1 and sum(self.seconds) > ENOUGH_SECONDS):
            raise Enough


class Nowhere:
    """A record that keeps nothing."""

    def log(self, scalars: Sequence[Scalar]) -> None: ...

    def flush(self) -> None: ...

    def keep(self, file: str, text: str, tags: Mapping[str, str]) -> None: ...


def _serve(answer: Connection, own: Sequence[str], asked: bytes) -> None:
    """What the process of a probe does. Whatever goes wrong is its answer."""
    try:
        for path in own:
            catalog.load_file(path)
        found = measure(*pickle.loads(asked))  # noqa: S301 (from the process that started this one)
        answer.send((found.seconds, found.memory))
    except LabError as fault:
        answer.send(fault)
    except Exception as fault:  # a model may raise anything
        answer.send(RunError(f"a probe failed: {type(fault).__name__}: {fault}".splitlines()[0]))

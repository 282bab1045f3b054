"""Decides when a run is written down, and sees to it that it is."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, sleep

import torch
from torch import Tensor

from lab.errors import CheckpointError, DataChanged, Interrupted
from lab.origin import FINGERPRINT
from lab.tracking.sink import Sink
from lab.train import chain
from lab.train.checkpoint import CheckpointStore
from lab.train.group import Group
from lab.train.host import HostCopies
from lab.train.journal import Journal
from lab.train.loop import LOOK_EVERY, require_finite
from lab.train.state import Training
from lab.train.writer import Writer

SHARE = 1 / 30
"""at most this part of a run's time passes while it stands still for checkpoints, and while they are written
beside it: what is written shares the network with the data, and hundreds of runs share the storage"""
RETRY_SECONDS = 15.0
"""how long training goes on before a checkpoint is tried again that could not be written"""
LAST_PATIENCE = 60.0
"""seconds that the checkpoint of a run that stops or ends is tried again"""

ASK_SECONDS = 1.0
"""between two looks whether a machine is about to be taken away; clouds say so half a minute ahead or more"""

log = logging.getLogger(__name__)


@dataclass
class Keeper:
    """Called after every step; says which step is safe now that was not before.

    A checkpoint is copied between two steps and written beside those that follow. One that is due while
    another is being written is put off until that is done, but for those that were asked for: of every step
    (`every` 0), of milestones, of the end and of a stop, which wait. While the storage is away training goes
    on, as long as there is a checkpoint to fall back to; at its end that is an error.
    """

    store: CheckpointStore
    training: Training
    journal: Journal
    sink: Sink
    group: Group
    should_stop: Callable[[], bool]
    every: float
    """seconds, at least, between two checkpoints"""
    leaving: Callable[[], bool] = lambda: False
    """whether a worker's machine will be taken away soon; all ranks ask at the same step"""
    safe: int | None = None
    """the last step that is known to be written"""
    _host: HostCopies = field(default_factory=HostCopies)

    def __post_init__(self) -> None:
        self.writer = Writer(self.store, self.sink)
        self.pause, self.last, self.stood = self.every, monotonic(), 0.0
        self.asked = monotonic()

    def resume(self) -> bool:
        """Put the training where the newest sound checkpoint was; rank 0 says which one that is."""
        found = self.store.latest() if self.group.leads else None
        step = self.group.leader_says(found.step if found else -1)
        if step < 0:
            return False
        checkpoint = found or self.store.load(step)
        before, now = checkpoint.notes.get(FINGERPRINT), self.journal.chain.fingerprint
        if before not in (None, now):
            raise DataChanged(
                f"the checkpoint of step {step} under {self.store.address} was made from data {before}, but "
                f"there is {now} now: prepare the old data again or set LAB_DATA to where it is, or begin "
                "anew with another LAB_HOME."
            )
        self.training.restore(checkpoint)
        self.journal.restore(checkpoint.notes)
        self.safe = step
        return True

    def asks(self, step: int) -> tuple[bool, ...]:
        """What several workers ask one another during a step: whether to stop after it, whether to look if a
        machine is about to go, whether a checkpoint of all of them is due; nothing where one is alone, or
        where reading the answers would stall the device."""
        if self.group.world == 1 or not self._looks(step):
            return ()
        return self.should_stop(), self.group.leads and self._time_to_look(), self.group.leads and self._due()

    def __call__(self, step: int, said: Tensor) -> int | None:
        """said: how many workers said yes to each of what was asked during this step."""
        total = self.journal.plan.total_steps
        stop, look, all_due = self._answers(step, said)
        if look:
            self._look_around()
        if step < total and stop:
            self.finish()
            raise Interrupted(f"stopped after step {step} of {total}; the same command continues from there.")
        if step == total:
            return self.finish()
        asked_for = self.every == 0 or (self.store.milestone and step % self.store.milestone == 0)
        safe = self._collect(wait=bool(asked_for))
        if asked_for or (all_due if self.training.sharded else self._due()):
            self._begin()
        return self._collect(wait=True) if self.every == 0 else safe

    def finish(self) -> int | None:
        """Write this step down and wait for it, with the chain for the record before. Raises CheckpointError
        if the storage stays away."""
        deadline = monotonic() + LAST_PATIENCE
        self._collect(wait=True)
        if self.group.leads:
            made_with = self._made_with()
            tags = {f"{chain.MADE}{name}": str(value) for name, value in made_with.items()}
            self.sink.keep(
                chain.FILE, self.journal.chain.text(made_with), {chain.TAG: self.journal.chain.head} | tags
            )
        while True:
            self._begin()
            try:
                return self.writer.collect(wait=True)
            except CheckpointError as fault:
                if self.training.sharded or self.safe is None or monotonic() + RETRY_SECONDS > deadline:
                    raise
                log.warning("%s Trying again in %g s.", fault, RETRY_SECONDS)
            sleep(RETRY_SECONDS)

    def _begin(self) -> None:
        """Copy this step and hand it to the writer."""
        if not (self.group.leads or self.training.sharded):
            return
        begun = monotonic()
        notes = self.journal.notes() | {FINGERPRINT: self.journal.chain.fingerprint}
        require_finite(notes["loss"], self.training.step, self.journal.plan.spec)
        checkpoint = self.training.capture(notes, self._host if self.group.leads else None)
        if self.group.leads:
            self.writer.begin(checkpoint)
        self.last = monotonic()
        self.stood = self.last - begun

    def _collect(self, *, wait: bool) -> int | None:
        """What the writer has to say. Raises CheckpointError where nothing could be fallen back to."""
        try:
            written = self.writer.collect(wait=wait)
        except CheckpointError as fault:
            if self.safe is None:
                raise
            log.warning(
                "%s Training goes on; until another try succeeds, step %d is what it would go back to.",
                fault,
                self.safe,
            )
            self.last, self.pause = monotonic(), max(self.every, RETRY_SECONDS)
            return None
        if written is not None:
            self.safe = written
            self.pause = max(self.every, self.stood / SHARE, self.writer.seconds / SHARE)
        return written

    def _answers(self, step: int, said: Tensor) -> tuple[bool, bool, bool]:
        """To what `asks` asks, the same for all workers."""
        if not self._looks(step):
            return False, False, False
        if self.group.world == 1:
            return self.should_stop(), self._time_to_look(), False
        stop, look, due = (count > 0 for count in said.tolist())
        return stop, look, due

    def _due(self) -> bool:
        return monotonic() - self.last >= self.pause and self.writer.idle

    def _time_to_look(self) -> bool:
        return monotonic() - self.asked >= ASK_SECONDS

    def _look_around(self) -> None:
        """All together, now and then by rank 0's clock: whether a machine is about to go. From that notice on
        every step is written, and what is lost with the machine is less than one step."""
        self.asked = monotonic()
        if self.leaving() and self.every:
            log.warning("A machine of this run is about to be taken away: every step is written down.")
            self.every = 0.0

    def _looks(self, step: int) -> bool:
        return self.group.device.type == "cpu" or step % LOOK_EVERY == 0

    def _made_with(self) -> dict[str, object]:
        device = self.group.device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
        machine = f"{platform.machine()}, {os.cpu_count()} cores"
        return {
            "workers": self.group.world,
            "device": name,
            "machine": machine,
            "torch": torch.__version__,
            "python": platform.python_version(),
        }

"""Checkpoints as folders of plain files: safetensors and JSON, each with its checksum. Nothing is ever
unpickled.

    STORAGE/DIGEST/step-000000120/model.safetensors       parameters and persistent buffers
                                  optimizer.safetensors   moments
                                  state.json              step, notes, sha256 of the other two and of itself

STORAGE is a path or a URI. A folder that a killed process left half-written is no checkpoint: on a disk it
has no name yet, on an object store no state.json.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from safetensors.torch import load
from torch import Tensor

from lab.errors import CheckpointError, DamagedCheckpoint
from lab.retention import Retention
from lab.storage import Piece, bundles
from lab.train.tensors import pieces, sha256

MODEL, OPTIMIZER, STATE = "model.safetensors", "optimizer.safetensors", "state.json"
PREFIX = "step-"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A run after `step` steps. notes: JSON."""

    step: int
    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    notes: Mapping[str, Any] = field(default_factory=dict)


class CheckpointStore:
    """The checkpoints of one run. One process writes at a time.

    storage: a path or a URI that every process of the run can reach · milestone: `retention.every` in steps.
    """

    def __init__(
        self,
        storage: str,
        digest: str,
        retention: Retention = Retention(),  # noqa: B008 (frozen)
        milestone: int | None = None,
    ) -> None:
        self.digest, self.retention, self.milestone = digest, retention, milestone
        self._place = bundles(storage, digest, seal=STATE)
        self._sound: int | None = None
        self._damaged: set[int] = set()

    @property
    def address(self) -> str:
        """Where they are, as a person would write it; without credentials."""
        return self._place.address

    def steps(self) -> list[int]:
        """The steps there are checkpoints of, newest first; damaged ones included."""
        try:
            return sorted(self._sizes(), reverse=True)
        except OSError as fault:
            raise CheckpointError(
                f"cannot list the checkpoints under {self.address}: {_cause(fault)}. See to it or set "
                "LAB_STORAGE, then run the same command again."
            ) from None

    def save(self, checkpoint: Checkpoint) -> None:
        """Write, then forget what need not be kept, or with the next one if that fails. Raises
        CheckpointError with nothing half-written left that could be taken for a checkpoint."""
        try:
            self._place.sweep()
            files = self._files(checkpoint)
            self._make_room(sum(len(piece) for content in files.values() for piece in content))
            self._place.write(_name(checkpoint.step), files)
        except OSError as fault:
            raise CheckpointError(
                f"cannot write the checkpoint of step {checkpoint.step} under {self.address}: "
                f"{_cause(fault)}. Make room there or set LAB_STORAGE, then run the same command again."
            ) from None
        self._sound = checkpoint.step
        self._damaged -= {checkpoint.step}
        try:
            self._forget()
        except OSError as fault:
            log.warning("old checkpoints under %s stay for now: %s.", self.address, _cause(fault))

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint that is what was written; damaged ones are named in the log and passed over.

        Raises CheckpointError where the storage does not answer: nothing is known about what it holds.
        """
        for step in self.steps():
            try:
                return self.load(step)
            except DamagedCheckpoint as fault:
                self._damaged.add(step)
                log.warning("%s Falling back to the one before it.", fault)
        return None

    def load(self, step: int) -> Checkpoint:
        """Raises DamagedCheckpoint if any byte differs from what was written, and CheckpointError."""
        place = f"{self.address}/{_name(step)}"
        try:
            state = json.loads(self._place.read(_name(step), STATE))
            seal = state.pop("seal")
            contents = {name: self._place.read(_name(step), name) for name in (MODEL, OPTIMIZER)}
            sums = {name: sha256([content]) for name, content in contents.items()}
            expected = {"digest": self.digest, "step": step, "notes": state["notes"], "files": sums}
            intact = state == expected and seal == _sealed(state)
        except OSError as fault:
            if isinstance(fault, FileNotFoundError | NotADirectoryError) or fault.errno == errno.EIO:
                raise DamagedCheckpoint(f"checkpoint {place} is damaged: {_cause(fault)}.") from None
            raise CheckpointError(
                f"checkpoint {place} cannot be read: {_cause(fault)}. Run the same command again when it can."
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            raise DamagedCheckpoint(f"checkpoint {place} is damaged: {fault}.") from None
        if not intact:
            raise DamagedCheckpoint(f"checkpoint {place} is damaged: checksums differ.")
        self._sound = step
        return Checkpoint(step, load(contents[MODEL]), load(contents[OPTIMIZER]), state["notes"])

    def discard(self) -> None:
        """Delete every checkpoint of the run. Raises CheckpointError."""
        for step in self.steps():
            try:
                self._place.delete(_name(step))
            except OSError as fault:
                raise CheckpointError(
                    f"cannot delete the checkpoint of step {step} under {self.address}: {_cause(fault)}."
                ) from None

    def _files(self, checkpoint: Checkpoint) -> dict[str, list[Piece]]:
        files = {MODEL: pieces(checkpoint.model), OPTIMIZER: pieces(checkpoint.optimizer)}
        state = {
            "digest": self.digest,
            "step": checkpoint.step,
            "notes": dict(checkpoint.notes),
            "files": {name: sha256(content) for name, content in files.items()},
        }
        sealed = json.dumps({**state, "seal": _sealed(state)}, indent=1)
        return files | {STATE: [sealed.encode()]}

    def _make_room(self, size: int) -> None:
        """Before something of `size` bytes is written, so that the quota holds while it is."""
        sizes = self._sizes()
        keep = self._sound if self._sound is not None else max(sizes, default=None)
        for step in sorted(sizes):
            over = self.retention.bytes is not None and sum(sizes.values()) + size > self.retention.bytes
            if over and step != keep:
                self._place.delete(_name(step))
                del sizes[step]

    def _forget(self) -> None:
        """What is damaged, now that there is something sound again, and what the retention does not ask
        for."""
        sound = sorted(self._sizes().keys() - self._damaged, reverse=True)
        for step in (*self._damaged, *self.retention.superfluous(sound, self.milestone)):
            self._place.delete(_name(step))
        self._damaged.clear()

    def _sizes(self) -> dict[int, int]:
        """Step -> bytes."""
        found = self._place.sizes().items()
        return {int(name.removeprefix(PREFIX)): size for name, size in found if name.startswith(PREFIX)}


def _name(step: int) -> str:
    return f"{PREFIX}{step:09d}"


def _cause(fault: OSError) -> str:
    return os.strerror(fault.errno) if fault.errno else str(fault)


def _sealed(state: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()

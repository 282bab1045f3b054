"""Checkpoints as folders of plain files: safetensors and JSON, each with its checksum. Nothing is ever
unpickled.

    STORAGE/DIGEST/step-000000120/model.safetensors       parameters and persistent buffers
                                  optimizer.safetensors   moments state.json              step, notes, sha256
                                  of the other two, sha256 of itself

A folder gets its name only when it is complete, so a process killed while writing leaves nothing that looks
like one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from lab.errors import CheckpointError

MODEL, OPTIMIZER, STATE = "model.safetensors", "optimizer.safetensors", "state.json"
PARTIAL = ".partial"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A run after `step` steps. notes: JSON."""

    step: int
    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    notes: Mapping[str, Any] = field(default_factory=dict)


class CheckpointStore:
    """The checkpoints of one run, the newest `keep` of them. One process writes at a time.

    storage: a folder that every process of the run can reach.
    """

    def __init__(self, storage: str, digest: str, keep: int = 2) -> None:
        if "://" in storage:
            raise CheckpointError(
                f"storage {storage!r} is not a folder: set LAB_STORAGE to one all workers can reach."
            )
        self.folder, self.digest, self.keep = Path(storage).absolute() / digest, digest, keep

    def steps(self) -> list[int]:
        """The steps there are checkpoints of, newest first; damaged ones included."""
        return sorted(
            (int(path.name.removeprefix("step-")) for path in self.folder.glob("step-*")), reverse=True
        )

    def save(self, checkpoint: Checkpoint) -> None:
        """Write, then forget all but the newest `keep`. Raises CheckpointError with nothing half-written
        left."""
        partial = self.folder / f"{PARTIAL}-{checkpoint.step}"
        try:
            self._forget(self.folder.glob(f"{PARTIAL}-*"))
            partial.mkdir(parents=True)
            self._write(partial, checkpoint)
            self._forget([self._place(checkpoint.step)])
            partial.rename(self._place(checkpoint.step))
            _settle(self.folder)
            self._forget(self._place(step) for step in self.steps()[self.keep :])
        except OSError as fault:
            shutil.rmtree(partial, ignore_errors=True)
            reason = fault.strerror or str(fault)
            raise CheckpointError(
                f"cannot write the checkpoint of step {checkpoint.step} under {self.folder}: {reason}. "
                "Make room there or set LAB_STORAGE, then run the same command again."
            ) from None

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint that is what was written; damaged ones are named in the log and passed
        over."""
        for step in self.steps():
            try:
                return self.load(step)
            except CheckpointError as fault:
                log.warning("%s Falling back to the one before it.", fault)
        return None

    def load(self, step: int) -> Checkpoint:
        """Raises CheckpointError if any byte differs from what was written."""
        place = self._place(step)
        try:
            state = json.loads((place / STATE).read_bytes())
            seal = state.pop("seal")
            contents = {name: (place / name).read_bytes() for name in (MODEL, OPTIMIZER)}
            sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
            expected = {"digest": self.digest, "step": step, "notes": state["notes"], "files": sums}
            intact = state == expected and seal == _sealed(state)
        except (OSError, ValueError, KeyError, AttributeError) as fault:
            raise CheckpointError(f"checkpoint {place} is damaged: {fault}.") from None
        if not intact:
            raise CheckpointError(f"checkpoint {place} is damaged: checksums differ.")
        return Checkpoint(step, load(contents[MODEL]), load(contents[OPTIMIZER]), state["notes"])

    def _write(self, folder: Path, checkpoint: Checkpoint) -> None:
        sums = {}
        for name, tensors in ((MODEL, checkpoint.model), (OPTIMIZER, checkpoint.optimizer)):
            content = save({key: tensor.cpu().contiguous() for key, tensor in tensors.items()})
            sums[name] = hashlib.sha256(content).hexdigest()
            _write_through(folder / name, content)
        state = {
            "digest": self.digest,
            "step": checkpoint.step,
            "notes": dict(checkpoint.notes),
            "files": sums,
        }
        sealed = json.dumps({**state, "seal": _sealed(state)}, indent=1)
        _write_through(folder / STATE, sealed.encode())

    def _place(self, step: int) -> Path:
        return self.folder / f"step-{step:09d}"

    @staticmethod
    def _forget(places: Any) -> None:
        for place in list(places):
            if place.exists():
                shutil.rmtree(place)


def _sealed(state: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _write_through(path: Path, content: bytes) -> None:
    """To the disk itself: a rename may otherwise survive a power cut that the content does not."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _settle(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

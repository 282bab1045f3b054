"""Everything that is raised on purpose.

    LabError                    one line for a person; the shell prints it and exits with 2
    ├── SpecError               an experiment that cannot exist
    ├── UnknownName             an experiment, sweep, table, split or setting nobody knows
    ├── DataError               what was prepared cannot be used
    │   ├── MissingDataset      not prepared yet (the message holds the command that prepares it)
    │   ├── CorruptShard        bytes that are not the bytes that were written
    │   ├── DataChanged         not the bytes a run or a checkpoint was made from
    │   └── StorageUnavailable  the disk or the object store does not answer, or refuses
    ├── RecordError             the record of runs
    │   ├── TrackingUnreachable the tracking server does not answer
    │   └── RunTaken            another live process holds the run
    ├── CheckpointError         a checkpoint that cannot be written or read
    │   └── DamagedCheckpoint   not what was written
    ├── RunError                a run that ended without a result
    │   ├── Diverged            its loss is no longer a number
    │   └── OutOfMemory         no device had the memory it takes
    ├── Interrupted             a person asked to stop; what was done is kept
    └── PortInUse               a server cannot bind its port

Every message names the thing, the rule, what was given and the way out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LabError(Exception):
    """A mistake or a condition that a person can act on."""


class SpecError(LabError):
    """An experiment that cannot exist: unknown field, wrong type, impossible value."""


LISTED = 24
"""names that an error tells of"""


class UnknownName(LabError):
    """A name that the catalog does not hold."""

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> UnknownName:
        """`no experiment 'x'. Did you mean 'y'? ...` with the near miss among `known`, or else the first of
        them."""
        known = sorted(known)
        more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
        listed = ", ".join(known[:LISTED]) + more
        way_out = did_you_mean(name, known) or f" Known: {listed or 'none'}."
        return cls(f"no {kind} {name!r}.{way_out}{hint}")


class DataError(LabError):
    """Prepared data that cannot be used."""


class MissingDataset(DataError):
    """The data set has not been prepared at the address given."""


class CorruptShard(DataError):
    """A shard whose bytes are not the bytes that were written."""


class DataChanged(DataError):
    """A run or a checkpoint was made from other bytes than are prepared now."""


class StorageUnavailable(DataError):
    """Where the data is (to be) kept does not answer, or refuses: nothing is known about the data."""


class RecordError(LabError):
    """The record of runs cannot be read or written."""


class TrackingUnreachable(RecordError):
    """The tracking server does not answer."""


class RunTaken(RecordError):
    """Another live process holds the run."""


class CheckpointError(LabError):
    """A checkpoint that cannot be written, or read, or belongs to something else."""


class DamagedCheckpoint(CheckpointError):
    """A checkpoint that is not what was written."""


class RunError(LabError):
    """A run that ended without a result."""


class Diverged(RunError):
    """The loss of a run is no longer a finite number."""


class OutOfMemory(RunError):
    """A run takes more memory than there is, on a device or a host."""


class Interrupted(LabError):
    """A person asked to stop. Everything up to the last checkpoint is kept."""


class PortInUse(LabError):
    """A server cannot bind its port."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'num_latents'?`, or nothing when no known name is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""

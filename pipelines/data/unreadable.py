"""Examples that cannot be read: all of them are named before a preparation fails, and none is left out unless
a person has listed it.

A preparation that meets one goes on to find the others, writes them to `unreadable.tsv` beside the shards
(split, key and what is wrong where, between tabs) and fails. Who wants to go on without them renames that
file to `left_out.tsv`: what it lists is not prepared, and the manifest counts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lab.errors import DataError
from pipelines.data.plan import Entry, Plan
from pipelines.data.storage import Directory

FOUND, LEFT_OUT = "unreadable.tsv", "left_out.tsv"
NAMED = 3
"""How many the message names; the others are in the file."""


class Unreadable(DataError):
    """One example's bytes are not what they should be. Raised by a plan's `row` or `remark`."""


@dataclass(frozen=True, order=True, slots=True)
class Fault:
    """An example, what is wrong with it, and where it comes from."""

    split: str
    key: str
    why: str


class SomeUnreadable(Exception):
    """A file was not written, because of these examples."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(f"{len(faults)} unreadable examples")
        self.faults = tuple(faults)


def refuse(directory: Directory, faults: Sequence[Fault], total: int) -> DataError:
    """The error that says how many of `total` examples cannot be read, and which; all are listed beside the
    shards.
    """
    faults = sorted(faults)
    with directory.writing(FOUND) as stream:
        for fault in faults:
            stream.write(f"{fault.split}\t{fault.key}\t{fault.why}\n".encode())
    named = "; ".join(fault.why.rstrip(".") for fault in faults[:NAMED])
    more = f"; and {len(faults) - NAMED:,} more" if len(faults) > NAMED else ""
    return DataError(
        f"{len(faults):,} of the {total:,} examples of {directory.name} cannot be read: {named}{more}. "
        f"Copy them again, then run: lab data prepare {directory.name}; or go on without them: rename "
        f"{directory.file(FOUND)}, which lists them, to {LEFT_OUT}."
    )


def without_left_out(plan: Plan, directory: Directory) -> Plan:
    """The plan without the examples that a person listed. Raises DataError for one that is not in it."""
    if LEFT_OUT not in directory.sizes():
        return plan
    lines = directory.read(LEFT_OUT).decode().splitlines()
    listed = {(split, key) for split, key, *_ in (f"{line}\t".split("\t") for line in lines if line)}
    unknown = listed - {(split, entry.key) for split, entries in plan.splits.items() for entry in entries}
    if unknown:
        split, key = min(unknown)
        raise DataError(
            f"{directory.file(LEFT_OUT)} lists {key!r} of split {split!r}, and there is no such example: "
            "correct it or delete the file."
        )

    def kept(split: str, entries: Sequence[Entry]) -> list[Entry]:
        return [entry for entry in entries if (split, entry.key) not in listed]

    return replace(
        plan,
        splits={split: kept(split, entries) for split, entries in plan.splits.items()},
        remarks={**plan.remarks, f"left out, as {LEFT_OUT} says": len(listed)},
    )

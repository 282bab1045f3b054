"""What is stored where, decided before anything is written and by the examples alone.

The same examples give the same files with the same names, in whatever order they are listed and however
often a preparation is interrupted.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pyarrow as pa

from lab.errors import DataError
from pipelines.data.manifest import Manifest
from pipelines.data.shards import Row, schema_text
from pipelines.data.storage import Directory

T = TypeVar("T")

IMAGES = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("image", pa.binary(), nullable=False),
    ]
)
"""Labelled images in their own encoding."""

CLIPS = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("labels", pa.list_(pa.field("element", pa.int16(), nullable=False)), nullable=False),
        pa.field("audio", pa.binary()),
        pa.field("video", pa.binary()),
        pa.field("duration", pa.float32(), nullable=False),
        pa.field("frames", pa.int32(), nullable=False),
    ]
)
"""Clips with any number of labels: FLAC of one channel at 48 kHz, mp4 of `frames` frames at 25 a second,
either null where there is none, and the seconds of the longer one."""


class LeftOut(Exception):
    """Raised by `Plan.row`: this example cannot be used. It is not stored, and counted as this remark."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One example to be stored: its key, unique in its split; its bytes, roughly; where it comes from."""

    key: str
    size: int
    origin: Any


@dataclass(frozen=True)
class Plan:
    """What to store. `row` makes the row of an entry, called from several threads, or raises LeftOut;
    `remark` may say something about a row that is worth counting, and `remarks` counts what was noticed about
    the source. `source` names what the rows are made from: another source, other shards. `conclude` sees what
    was written before it counts as prepared: it may refuse it with DataError, write a report beside it, and
    has the last remarks."""

    source: str
    labels: tuple[str, ...]
    schema: pa.Schema
    splits: Mapping[str, Sequence[Entry]]
    row: Callable[[Entry], Row]
    remark: Callable[[Row], str | None] = lambda row: None
    conclude: Callable[[Directory, Manifest], Mapping[str, int]] = lambda directory, manifest: {}
    remarks: Mapping[str, int] = field(default_factory=dict)
    row_group_bytes: int = 6 << 20
    file_bytes: int = 450 << 20


@dataclass(frozen=True)
class Part:
    """One file to be written."""

    split: str
    name: str
    row_groups: tuple[tuple[Entry, ...], ...]
    about: Mapping[str, str]


def parts(plan: Plan, name: str, version: int, split: str) -> Iterator[Part]:
    """The files of one split. `about` tells in each footer what it holds, and for which part of which
    plan.
    """
    files = list(
        _cut(_cut(_shuffled(plan.splits[split], split), plan.row_group_bytes, _size), plan.file_bytes, _total)
    )
    for index, groups in enumerate(files):
        about = {
            "dataset": name,
            "split": split,
            "version": str(version),
            "source": plan.source,
            "labels": json.dumps(plan.labels),
            "schema": json.dumps(schema_text(plan.schema)),
        }
        part = json.dumps([about, [[(e.key, e.size) for e in group] for group in groups]])
        about["part"] = hashlib.sha256(part.encode()).hexdigest()
        yield Part(split, f"{split}-{index:05d}-of-{len(files):05d}.parquet", tuple(groups), about)


def _shuffled(entries: Sequence[Entry], split: str) -> list[Entry]:
    """A fixed random order, whatever order they came in: neighbours in a shard must not share a class."""
    keys = [entry.key for entry in entries]
    if len(set(keys)) != len(keys):
        twice = next(key for key, count in Counter(keys).items() if count > 1)
        raise DataError(
            f"key {twice!r} appears more than once in split {split!r}: every example needs its own."
        )
    return sorted(entries, key=lambda entry: hashlib.sha256(f"{split}/{entry.key}".encode()).digest())


def _cut(items: Sequence[T], target: int, size: Callable[[T], int]) -> list[tuple[T, ...]]:
    """Consecutive pieces, each ended by the item with which it reaches the target."""
    pieces: list[tuple[T, ...]] = []
    piece: list[T] = []
    filled = 0
    for item in items:
        piece.append(item)
        filled += size(item)
        if filled >= target:
            pieces.append(tuple(piece))
            piece, filled = [], 0
    return [*pieces, tuple(piece)] if piece else pieces


def _size(entry: Entry) -> int:
    return entry.size


def _total(group: tuple[Entry, ...]) -> int:
    return sum(entry.size for entry in group)

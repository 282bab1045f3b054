"""Shapes of any source as a plan for shards of points."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.data.plan import Entry, Plan
from pipelines.data.shards import Row

POINTS = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("points", pa.binary(), nullable=False),
    ]
)
"""Labelled clouds: coordinates x, y, z of one point after the other, little-endian float32."""

POINT_BYTES = 12
HELD_OUT = 10
"""One training shape in so many of each class is for validation (assumed)."""


@dataclass(frozen=True)
class Shape:
    """One shape of a source.

    key: unique in its split · name: of its class · size: in the source, in bytes · number: of points,
    roughly · points: reads (n, 3) float32 coordinates, from any thread; raises DataError
    """

    key: str
    name: str
    size: int
    number: int
    points: Callable[[], NDArray[np.float32]]


Splits = Mapping[str, Sequence[Shape]]


def plan(splits: Splits, labels: Sequence[str], remarks: Mapping[str, int] | None = None) -> Plan:
    """What to store of these shapes; a label is the place of the class among `labels`."""
    index = {name: label for label, name in enumerate(labels)}
    found = sorted((split, shape.key, shape.size) for split, shapes in splits.items() for shape in shapes)

    def row(entry: Entry) -> Row:
        shape: Shape = entry.origin
        points = shape.points().astype("<f4", copy=False).tobytes()
        return {"key": entry.key, "label": index[shape.name], "points": points}

    return Plan(
        source=hashlib.sha256(repr(found).encode()).hexdigest()[:16],
        labels=tuple(labels),
        schema=POINTS,
        splits={
            split: [Entry(shape.key, POINT_BYTES * shape.number, shape) for shape in shapes]
            for split, shapes in splits.items()
        },
        row=row,
        remarks=remarks or {},
    )


def hold_out(shapes: Sequence[Shape], one_in: int = HELD_OUT) -> tuple[list[Shape], list[Shape]]:
    """(train, validation): of each class the shapes whose keys hash lowest are held out, one in `one_in`,
    and at least one of two or more."""
    classes: dict[str, list[Shape]] = defaultdict(list)
    for shape in shapes:
        classes[shape.name].append(shape)
    train: list[Shape] = []
    validation: list[Shape] = []
    for members in classes.values():
        ordered = sorted(members, key=lambda shape: hashlib.sha256(shape.key.encode()).digest())
        held = max(1, len(members) // one_in) if len(members) > 1 else 0
        validation += ordered[:held]
        train += ordered[held:]
    return train, validation

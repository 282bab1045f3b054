"""Labelled images as they are planned, wherever they come from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.data.images import defects
from pipelines.data.payload import Payload
from pipelines.data.plan import IMAGES, Entry, Plan
from pipelines.data.shards import Row


@dataclass(frozen=True, slots=True)
class Labelled:
    """One image: its key, unique in its split, its label, and where its bytes are."""

    key: str
    label: int
    at: Payload

    def __str__(self) -> str:
        return str(self.at)


def plan(
    splits: Mapping[str, Sequence[Labelled]], labels: Sequence[str], remarks: Mapping[str, int] | None = None
) -> Plan:
    """Stores the images as they are encoded. Every one is decoded once, and its defects are counted."""
    listing = sorted((split, i.key, i.at.size) for split, images in splits.items() for i in images)
    return Plan(
        source=hashlib.sha256(repr(listing).encode()).hexdigest()[:16],
        labels=tuple(labels),
        schema=IMAGES,
        splits={split: [Entry(i.key, i.at.size, i) for i in images] for split, images in splits.items()},
        row=_row,
        remark=lambda row: defects.remark(row["image"], f"image {row['key']}"),
        remarks=remarks or {},
    )


def held_out(images: Sequence[Labelled], shares: Mapping[str, float]) -> dict[str, list[Labelled]]:
    """The images by split: of each class, these shares are held out, and the rest is `train`.

    Those whose names hash lowest go: the same names are split in the same way, whatever order they come in.
    A class loses at least one image to each split, while it has another one left.
    """
    classes: dict[int, list[Labelled]] = {}
    for image in images:
        classes.setdefault(image.label, []).append(image)
    splits: dict[str, list[Labelled]] = {"train": [], **{split: [] for split in shares}}
    for members in classes.values():
        left = sorted(members, key=lambda image: hashlib.sha256(image.key.encode()).digest())
        for split, share in shares.items():
            count = max(1, int(len(members) * share)) if len(left) > 1 and share > 0 else 0
            splits[split] += left[:count]
            left = left[count:]
        splits["train"] += left
    return splits


def _row(entry: Entry) -> Row:
    image: Labelled = entry.origin
    return {"key": entry.key, "label": image.label, "image": image.at.read()}

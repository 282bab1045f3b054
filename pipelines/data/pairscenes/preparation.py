"""PairScenes as shards of JPEG, from folders by class."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

from pipelines.data import generated
from pipelines.data.build import Prepared, Progress, silent
from pipelines.data.counter import Draws
from pipelines.data.images import defects
from pipelines.data.pairscenes.scenes import CLASSES, scene
from pipelines.data.payload import files
from pipelines.data.plan import IMAGES, Entry, Plan
from pipelines.data.shards import Row

VERSION = 1
OF_EACH = {"train": 450, "validation": 50, "test": 100}


def prepare(root: str, source: str | None = None, progress: Progress = silent) -> Prepared:
    """Generates PairScenes and writes it under `root`. There is no source to name."""
    write = partial(write_images, progress=progress)
    return generated.prepared(
        root, "pairscenes", VERSION, source=source, write=write, plan=_plan, progress=progress
    )


def write_images(folder: Path, progress: Progress = silent) -> None:
    """Writes train/warm_above_cool-green_above_magenta/0000.jpg and so on: the same bytes every time."""
    for label, name in enumerate(CLASSES):
        progress("generate pairscenes", label, len(CLASSES))
        for where, (split, count) in enumerate(OF_EACH.items()):
            place = folder / split / name
            place.mkdir(parents=True)
            for number in range(count):
                draws = Draws.of(VERSION, where, number * len(CLASSES) + label)
                (place / f"{number:04d}.jpg").write_bytes(scene(label, draws))


def _plan(folder: Path) -> Plan:
    splits = {
        split: [
            Entry(f"{name}/{Path(file).stem}", image.size, (label, image))
            for label, name in enumerate(CLASSES)
            for file, image in files(folder / split / name)
        ]
        for split in OF_EACH
    }
    listing = sorted((split, entry.key, entry.size) for split, found in splits.items() for entry in found)
    return Plan(
        source=hashlib.sha256(repr(listing).encode()).hexdigest()[:16],
        labels=CLASSES,
        schema=IMAGES,
        splits=splits,
        row=_row,
        remark=lambda row: defects.remark(row["image"], f"image {row['key']}"),
    )


def _row(entry: Entry) -> Row:
    label, image = entry.origin
    return {"key": entry.key, "label": label, "image": image.read()}

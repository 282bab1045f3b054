"""PairScenes as shards of JPEG, from folders by class."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pipelines.data import generated
from pipelines.data.build import Prepared, Progress, silent
from pipelines.data.counter import Draws
from pipelines.data.folder import ImageFolder
from pipelines.data.images import labelled
from pipelines.data.pairscenes.scenes import CLASSES, scene
from pipelines.data.plan import Plan

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
    declared = ImageFolder(name="pairscenes", num_classes=len(CLASSES))
    return labelled.plan(*declared.found(folder, folder, silent))

"""MeshZoo as shards of points, from OFF files in ModelNet40's folders.

Of every mesh 1,024 points are stored. `validation` is one training mesh in 10 of each kind, as of ModelNet40.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pipelines.data import generated
from pipelines.data.build import Prepared, Progress, silent
from pipelines.data.counter import Draws
from pipelines.data.meshzoo.off_text import off
from pipelines.data.meshzoo.shapes import KINDS, shape
from pipelines.data.modelnet40 import meshes
from pipelines.data.modelnet40.archive import listing
from pipelines.data.modelnet40.shapes import hold_out, plan
from pipelines.data.plan import Plan

VERSION = 1
OF_EACH = {"train": 220, "test": 50}
SAMPLED = 1024


def prepare(root: str, source: str | None = None, progress: Progress = silent) -> Prepared:
    """Generates MeshZoo and writes it under `root`. There is no source to name."""
    write = partial(write_meshes, progress=progress)
    return generated.prepared(
        root, "meshzoo", VERSION, source=source, write=write, plan=_plan, progress=progress
    )


def write_meshes(folder: Path, progress: Progress = silent) -> None:
    """Writes MeshZoo/cone/train/cone_0001.off and so on: the same bytes every time."""
    for label, kind in enumerate(KINDS):
        progress("generate meshzoo", label, len(KINDS))
        for number in range(sum(OF_EACH.values())):
            place = folder / "MeshZoo" / kind / ("train" if number < OF_EACH["train"] else "test")
            place.mkdir(parents=True, exist_ok=True)
            draws = Draws.of(VERSION, label, number)
            (place / f"{kind}_{number + 1:04d}.off").write_bytes(off(shape(kind, draws), draws))


def _plan(folder: Path) -> Plan:
    found = meshes.shapes(listing(folder), SAMPLED)
    train, validation = hold_out(found["train"])
    return plan({"train": train, "validation": validation, "test": found["test"]}, tuple(KINDS))

"""Data sets by name: what `lab data` calls.

The data set NAME is the module `pipelines/data/NAME.py`, which has `dataset()`, its specification as it is,
`prepare(root, source, progress)`, and `VERSION`, to be raised when it prepares other bytes. There is no list
to add it to.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

import pipelines.data
from lab.errors import DataError, MissingDataset, UnknownName
from pipelines.data import build, counter
from pipelines.data import manifest as manifests
from pipelines.data.build import Prepared, Progress, silent
from pipelines.data.counter import Draws
from pipelines.data.manifest import Manifest
from pipelines.data.storage import Directory
from pipelines.data.stream import Stream


def names() -> tuple[str, ...]:
    """Every data set that can be prepared."""
    modules = [module.name for module in pkgutil.iter_modules(pipelines.data.__path__)]
    return tuple(sorted(name for name in modules if _is_dataset(_import(name))))


def prepare(name: str, root: str, source: str | None = None, progress: Progress = silent) -> Prepared:
    """Makes the shards of a data set under `root`, or verifies that they are there.

    `source` is where the data set is now, for those that do not come with a library. Raises UnknownName
    with the near miss, and DataError when the source or the storage fails; what is finished by then is
    kept.
    """
    prepared: Prepared = _module(name).prepare(root, source, progress)
    return prepared


def verify(root: str, name: str, progress: Progress = silent) -> Prepared:
    """Compares every byte under `root` with the manifest.

    Raises MissingDataset, DataError naming a missing file, or CorruptShard naming the file and the row group.
    """
    directory = Directory.at(root, name)
    manifest = manifests.read(directory, _module(name).VERSION)
    build.verify(directory, manifest, progress)
    return Prepared(manifest, directory.address, already=True)


def state(root: str, name: str) -> str:
    """`prepared`, `not prepared`, or `damaged` when files are missing or have other sizes; nothing more
    is read.
    """
    directory = Directory.at(root, name)
    try:
        manifests.check_sizes(directory, manifests.read(directory, _module(name).VERSION))
    except MissingDataset:
        return "not prepared"
    except DataError:
        return "damaged"
    return "prepared"


@dataclass(frozen=True)
class Description:
    """What is prepared: where, how much, of what. balance: split -> label -> examples."""

    manifest: Manifest
    address: str
    balance: dict[str, dict[str, int]]

    def __str__(self) -> str:
        manifest = self.manifest
        size = sum(file.bytes for file in manifest.files)
        lines = [
            f"{manifest.name}, version {manifest.version}, fingerprint {manifest.fingerprint}",
            f"  {self.address}: {size:,} bytes in {len(manifest.files)} files, made from {manifest.source}",
        ]
        for split in manifest.splits:
            counts = self.balance[split.name]
            least, most = min(counts.values(), default=0), max(counts.values(), default=0)
            share = f"{len(counts)} of {len(manifest.labels)} classes, {least:,} to {most:,} examples each"
            lines.append(f"  {split.name:<12}{split.rows:>10,}  {share}")
        return "\n".join(
            lines + [f"  remarked: {count:,} {what}" for what, count in manifest.remarks.items()]
        )


def describe(root: str, name: str) -> Description:
    """Counts of a prepared data set, from its labels. Raises as opening it does."""
    stream = _open(root, name)
    balance = {}
    for split in stream.manifest.splits:
        counts = Counter(stream.labels(split.name))
        balance[split.name] = {stream.manifest.labels[label]: counts[label] for label in sorted(counts)}
    return Description(stream.manifest, Directory.at(root, name).address, balance)


def contact_sheet(
    root: str, name: str, path: str | Path, *, split: str = "train", count: int = 16, seed: int = 0
) -> Path:
    """Writes a PNG of examples and returns its path: each as evaluation sees it, and below as two epochs
    see it.
    """
    dataset, stream = _module(name).dataset(), _open(root, name)
    ids = counter.permutation(counter.key(seed), stream.size(split))[:count]
    rows = []
    for draw in (None, *(partial(Draws.of, seed, epoch) for epoch in range(2))):
        # One at a time: of video, evaluation sees many clips of each.
        batches = (stream.examples(split, one, draw) for one in ids[:, None])
        rows.append([_rgb(dataset.picture(_only(batch.inputs))) for batch in batches])
    _save(rows, Path(path))
    return Path(path)


def _open(root: str, name: str) -> Stream:
    """What is prepared, whatever choices an experiment would have to agree with."""
    module = _module(name)
    return Stream.open(root, module.dataset(), module.VERSION)


def _only(inputs: Tensor | dict[str, Tensor]) -> Tensor | dict[str, Tensor]:
    """The inputs of the one example of a batch."""
    return {name: part[0] for name, part in inputs.items()} if isinstance(inputs, dict) else inputs[0]


def _save(pictures: list[list[NDArray[np.uint8]]], path: Path) -> None:
    from PIL import Image

    height, width, _ = pictures[0][0].shape
    scale, gap = max(1, 64 // height), 4
    down, right = height * scale + gap, width * scale + gap
    sheet = Image.new("RGB", (len(pictures[0]) * right + gap, len(pictures) * down + gap), (96, 96, 96))
    for row, line in enumerate(pictures):
        for column, picture in enumerate(line):
            tile = Image.fromarray(picture).resize((width * scale, height * scale), Image.Resampling.NEAREST)
            sheet.paste(tile, (gap + column * right, gap + row * down))
    sheet.save(path, format="PNG")


def _rgb(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)


def _module(name: str) -> Any:
    if name not in names():
        raise UnknownName.among("data set", name, names())
    return _import(name)


def _import(name: str) -> ModuleType:
    return importlib.import_module(f"{pipelines.data.__name__}.{name}")


def _is_dataset(module: ModuleType) -> bool:
    return hasattr(module, "dataset") and hasattr(module, "prepare")

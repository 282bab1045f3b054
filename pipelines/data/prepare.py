"""Data sets by name: what `lab data` calls.

The data set NAME is the module `pipelines/data/NAME.py`, which has `dataset()`, its specification as it is,
`prepare(root, source, progress)`, and `VERSION`, to be raised when it prepares other bytes. What is declared
(see `folder`) has the last two itself. It may be in any package of the entry point group `lab.datasets`, or
in a file of one's own, given by path; there is no list to add it to.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lab import catalog
from lab.errors import DataError, MissingDataset, StorageUnavailable
from pipelines.data import build, counter
from pipelines.data import manifest as manifests
from pipelines.data.build import Prepared, Progress, silent
from pipelines.data.counter import Draws
from pipelines.data.manifest import Manifest
from pipelines.data.storage import Directory
from pipelines.data.stream import Stream


def names() -> tuple[str, ...]:
    """Every data set that can be prepared."""
    return tuple(sorted(catalog.datasets()))


def prepare(name: str, root: str, source: str | None = None, progress: Progress = silent) -> Prepared:
    """Makes the shards of a data set under `root`, or verifies that they are there.

    `source` is where the data set is now, for those that do not come with a library. Raises UnknownName
    with the near miss, and DataError when the source or the storage fails; what is finished by then is
    kept.
    """
    module = catalog.dataset(name)
    make = module.prepare if hasattr(module, "prepare") else module.dataset().prepare
    prepared: Prepared = make(root, source, progress)
    return prepared


def verify(root: str, name: str, progress: Progress = silent) -> Prepared:
    """Compares every byte under `root` with the manifest.

    Raises MissingDataset, DataError naming a missing file, or CorruptShard naming the file and the row group.
    """
    data, version = _declared(name)
    directory = Directory.at(root, data.name)
    manifest = manifests.read(directory, version)
    build.verify(directory, manifest, progress)
    return Prepared(manifest, directory.address, already=True)


def state(root: str, name: str) -> str:
    """`prepared`, `not prepared`, or `damaged` when files are missing or have other sizes; nothing more
    is read.
    """
    data, version = _declared(name)
    directory = Directory.at(root, data.name)
    try:
        manifests.check_sizes(directory, manifests.read(directory, version))
    except MissingDataset:
        return "not prepared"
    except StorageUnavailable:
        raise
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
    return Description(stream.manifest, Directory.at(root, stream.manifest.name).address, balance)


def contact_sheet(
    root: str, name: str, path: str | Path, *, split: str = "train", count: int = 16, seed: int = 0
) -> Path:
    """Writes a PNG of examples and returns its path: each as evaluation sees it, and below as two epochs
    see it.
    """
    dataset, stream = _declared(name)[0], _open(root, name)
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
    return Stream.open(root, *_declared(name))


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


def _declared(name: str) -> tuple[Any, int]:
    """(the data set, the version of what it is made by)"""
    module = catalog.dataset(name)
    data = module.dataset()
    return data, module.VERSION if hasattr(module, "VERSION") else data.version

"""Data sets by name: what `lab data` calls.

The data set NAME is the module `pipelines/data/NAME.py`, which has `dataset()`, its specification as it is,
`prepare(root, source, progress)`, and `VERSION`, to be raised when it prepares other bytes. What is declared
(see `folder`) has the last two itself. It may be in any package of the entry point group `lab.datasets`, or
in a file of one's own, given by path; there is no list to add it to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lab import catalog
from lab.errors import DataError, MissingDataset, StorageUnavailable
from pipelines.data import build
from pipelines.data import manifest as manifests
from pipelines.data.build import Prepared, Progress, silent
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
    data, version = declared(name)
    directory = Directory.at(root, data.name)
    manifest = manifests.read(directory, version)
    build.verify(directory, manifest, progress)
    return Prepared(manifest, directory.address, already=True)


@dataclass(frozen=True)
class Inventory:
    """`prepared`, `not prepared`, or `damaged` when files are missing or have other sizes; and how much there
    is."""

    state: str
    examples: int = 0
    bytes: int = 0


def inventory(root: str, name: str) -> Inventory:
    """What is there of a data set, by its manifest and the sizes of its files. Raises StorageUnavailable."""
    data, version = declared(name)
    directory = Directory.at(root, data.name)
    try:
        manifest = manifests.read(directory, version)
        manifests.check_sizes(directory, manifest)
    except MissingDataset:
        return Inventory("not prepared")
    except StorageUnavailable:
        raise
    except DataError:
        return Inventory("damaged")
    return Inventory("prepared", sum(split.rows for split in manifest.splits), manifest.bytes)


def opened(root: str, name: str) -> Stream:
    """What is prepared, whatever choices an experiment would have to agree with."""
    return Stream.open(root, *declared(name))


def declared(name: str) -> tuple[Any, int]:
    """(the data set, the version of what it is made by)"""
    module = catalog.dataset(name)
    data = module.dataset()
    return data, module.VERSION if hasattr(module, "VERSION") else data.version

"""What a prepared data set contains, kept beside its shards, and whether the files still are what it says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from lab import codec
from lab.errors import CorruptShard, DataError, MissingDataset, SpecError, UnknownName
from pipelines.data.storage import Directory

NAME = "manifest.json"


@dataclass(frozen=True)
class ShardFile:
    """One Parquet file: how many examples each of its row groups holds, and what its bytes must be."""

    name: str
    row_groups: tuple[int, ...]
    sha256: str
    bytes: int

    def __post_init__(self) -> None:
        if "/" in self.name or not self.name.endswith(".parquet"):
            raise ValueError(f"name must be a plain file name ending in .parquet, got {self.name!r}.")
        if min(self.row_groups, default=0) < 1:
            raise ValueError(
                f"row_groups of {self.name} must all hold 1 example or more, got {self.row_groups}."
            )

    @property
    def rows(self) -> int:
        return sum(self.row_groups)


@dataclass(frozen=True)
class Split:
    """The examples that belong together, in stored order."""

    name: str
    files: tuple[ShardFile, ...]

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    @property
    def row_groups(self) -> tuple[int, ...]:
        return tuple(rows for file in self.files for rows in file.row_groups)


@dataclass(frozen=True)
class Manifest:
    """A prepared data set.

    version: of the code that prepared it · source: names what it was made from · labels: class index ->
    name · schema: column -> Arrow type · remarks: what preparation noticed -> how many examples
    """

    name: str
    version: int
    source: str
    labels: tuple[str, ...]
    schema: Mapping[str, str]
    splits: tuple[Split, ...]
    remarks: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [split.name for split in self.splits]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"splits must be one or more with distinct names, got {names}.")

    @property
    def fingerprint(self) -> str:
        """Names the bytes of every split, in order, and what their labels mean: 16 hex digits."""
        content = [self.name, list(self.labels), [[s.name, [f.sha256 for f in s.files]] for s in self.splits]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    @property
    def files(self) -> tuple[ShardFile, ...]:
        return tuple(file for split in self.splits for file in split.files)

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    def split(self, name: str) -> Split:
        """Raises UnknownName with the near miss."""
        for split in self.splits:
            if split.name == name:
                return split
        raise UnknownName.among(f"split of {self.name}", name, [split.name for split in self.splits])


def read(directory: Directory, version: int | None = None) -> Manifest:
    """The manifest in a folder.

    Raises MissingDataset with the command that prepares it when there is none or another `version` of the
    code made it, and DataError when it cannot be understood.
    """
    name, path = directory.name, directory.file(NAME)
    try:
        manifest = codec.loads(Manifest, directory.read(NAME).decode())
    except (FileNotFoundError, NotADirectoryError):
        raise MissingDataset(
            f"{name} is not prepared under {directory.address}; {directory.remedy}"
        ) from None
    except (SpecError, UnicodeDecodeError) as fault:
        raise DataError(f"{path} is damaged: {str(fault).rstrip('.')}; {directory.remedy}") from None
    if manifest.name != name:
        raise DataError(f"{path} describes {manifest.name!r}, not {name!r}; {directory.remedy}")
    if version not in {None, manifest.version}:
        raise MissingDataset(
            f"{name} under {directory.address} is prepared as version {manifest.version}, and this code "
            f"reads version {version}; {directory.remedy}"
        )
    return manifest


def write(directory: Directory, manifest: Manifest) -> None:
    """Puts the manifest on disk, whole or not at all."""
    with directory.writing(NAME) as stream:
        stream.write((json.dumps(codec.encode(manifest), indent=1, sort_keys=True) + "\n").encode())


def check_sizes(directory: Directory, manifest: Manifest) -> None:
    """Refuses a folder whose files are missing or not as long as they were written: cheap, before any
    training.

    Raises DataError naming a missing file, CorruptShard naming a file that was cut or replaced.
    """
    sizes = directory.sizes()
    for file in manifest.files:
        path, size = directory.file(file.name), sizes.get(file.name)
        if size is None:
            raise DataError(f"{path} is missing, and the manifest lists it; {directory.remedy}")
        if size != file.bytes:
            raise CorruptShard(
                f"{path} has {size:,} bytes where the manifest says {file.bytes:,}; {directory.remedy}"
            )

"""Where the bytes of one example are, in whatever people keep them: a file, or a part of one."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lab.errors import DataError

BLOCK = 512
"""Tars are made of blocks; a block of zeros ends them."""


class Payload(Protocol):
    """The bytes of one example. In words it is the place a person has to look at."""

    @property
    def size(self) -> int: ...

    def read(self) -> bytes:
        """Raises OSError when the bytes cannot be read, DataError when they are no longer there."""


@dataclass(frozen=True, slots=True)
class Extent:
    """`size` bytes from `offset` of a file; `member` is their name inside it, if it is a tar."""

    path: str
    size: int
    offset: int = 0
    member: str = ""

    def __str__(self) -> str:
        return f"{self.path}, {self.member}" if self.member else self.path

    def read(self) -> bytes:
        with open(self.path, "rb") as file:  # noqa: PTH123 -- a Path for each of a million images is slow
            file.seek(self.offset)
            data = file.read(self.size)
        if len(data) != self.size:
            raise DataError(f"{self} is cut short: it has become shorter since it was listed; copy it again.")
        return data


def files(folder: Path) -> list[tuple[str, Extent]]:
    """(name, whole file) of the files in a folder, by name, without hidden ones."""
    with os.scandir(folder) as entries:
        seen = [each for each in entries if not each.name.startswith(".") and each.is_file()]
        return sorted((each.name, Extent(each.path, each.stat().st_size)) for each in seen)


def folders(folder: Path) -> list[Path]:
    """The folders in a folder, by name; hidden ones too, for a hidden class is a mistake to be seen."""
    return sorted(each for each in folder.iterdir() if each.is_dir())


def members(path: Path, inside: Extent | None = None) -> Iterator[tuple[str, Extent]]:
    """(name, place) of the files in a tar, or in the tar `inside` it. Nothing is extracted.

    Raises DataError naming the last member of a tar that is cut short: Python's reader takes a missing end
    for the end.
    """
    end = inside.offset + inside.size if inside else path.stat().st_size
    where, last = f"{inside or path}", "its beginning"
    with path.open("rb") as file:
        file.seek(inside.offset if inside else 0)
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for member in tar:
                    last = member.name
                    if member.offset_data + member.size > end:
                        raise DataError(f"{where} ends inside {last}: it is cut short; copy it again.")
                    name = Path(member.name).name
                    if member.isfile() and not name.startswith("."):
                        label = f"{inside.member}, {name}" if inside else name
                        yield name, Extent(str(path), member.size, member.offset_data, label)
                file.seek(tar.offset)
                if file.read(min(BLOCK, max(0, end - tar.offset))) != bytes(BLOCK):
                    raise DataError(f"{where} ends or is damaged after {last}: copy it again.")
        except tarfile.TarError as fault:
            raise DataError(f"{where} is not a readable tar after {last}: {fault}; copy it again.") from None

"""Bundles on a disk, or on what is mounted like one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab.storage.bundles import Piece

PARTIAL = ".partial-"


@dataclass(frozen=True)
class Disk:
    """`Bundles` in a folder. A bundle is written under another name and to the disk itself before it gets its
    own: neither a killed process nor a power cut leaves half of one."""

    folder: Path

    @property
    def address(self) -> str:
        return str(self.folder)

    def sizes(self) -> dict[str, int]:
        try:
            places = [place for place in self.folder.iterdir() if not place.name.startswith(PARTIAL)]
            return {place.name: _bytes(place) for place in places if place.is_dir()}
        except FileNotFoundError:
            return {}

    def read(self, name: str, file: str) -> bytes:
        return (self.folder / name / file).read_bytes()

    def write(self, name: str, files: Mapping[str, Sequence[Piece]]) -> None:
        partial = self.folder / f"{PARTIAL}{name}"
        try:
            partial.mkdir(parents=True)
            for file, content in files.items():
                _write_through(partial / file, content)
            self.delete(name)
            partial.rename(self.folder / name)
            _settle(self.folder)
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def delete(self, name: str) -> None:
        with suppress(FileNotFoundError):
            shutil.rmtree(self.folder / name)

    def sweep(self) -> None:
        for partial in self.folder.glob(f"{PARTIAL}*"):
            shutil.rmtree(partial)


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _write_through(path: Path, content: Sequence[Piece]) -> None:
    """To the disk itself: a rename may otherwise survive a power cut that the content does not."""
    with path.open("wb", buffering=0) as file:
        for piece in content:
            left = memoryview(piece)
            while left:
                left = left[file.write(left) :]
        os.fsync(file.fileno())


def _settle(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

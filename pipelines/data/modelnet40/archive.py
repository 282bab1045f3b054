"""The files of a source by name, whether they lie in a folder or in a zip. Nothing is unpacked."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lab.errors import DataError

Files = Mapping[str, "File"]
"""Path inside the source, with slashes -> file."""

DEPTH = 4
"""Folders that are looked into below a source: ModelNet40/airplane/train is three."""

_DAMAGE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class File:
    """One file; `where` names it to a person. May be read from several threads."""

    where: str
    size: int
    content: Callable[[], bytes]

    def read(self) -> bytes:
        """Raises DataError when the file is damaged or gone."""
        try:
            return self.content()
        except _DAMAGE as fault:
            raise DataError(f"{self.where} cannot be read ({fault}): copy it again.") from None


def listing(source: Path) -> dict[str, File]:
    """Every file of a zip or below a folder, but for hidden ones and what macOS adds to zips.

    A zip is held open for as long as one of its files is kept. Raises DataError when it is cut short.
    """
    return _in_zip(source) if source.is_file() else _in_folder(source)


def below(files: Files, marker: str) -> dict[str, File]:
    """The files in the folder that holds the file `marker`, named from there; empty when there is none.

    Raises DataError when several folders hold one.
    """
    tops = [name.removesuffix(marker) for name in files if f"/{name}".endswith(f"/{marker}")]
    if len(tops) > 1:
        held = ", ".join(sorted(files[top + marker].where for top in tops))
        raise DataError(f"the source holds more than one {marker}: {held}; name the folder of one.")
    return {
        name.removeprefix(top): file for top in tops for name, file in files.items() if name.startswith(top)
    }


def _in_zip(source: Path) -> dict[str, File]:
    try:
        archive = zipfile.ZipFile(source)
    except _DAMAGE as fault:
        raise DataError(f"{source} is no readable zip ({fault}): copy it again.") from None
    return {
        member.filename: File(
            f"{source}, {member.filename}", member.file_size, partial(archive.read, member.filename)
        )
        for member in archive.infolist()
        if not member.is_dir() and not _hidden(member.filename)
    }


def _in_folder(source: Path) -> dict[str, File]:
    files = {}
    for folder, below, names in os.walk(source):
        depth = len(Path(folder).relative_to(source).parts)
        below[:] = sorted(name for name in below if depth < DEPTH and not _hidden(name))
        for name in sorted(names):
            path = Path(folder, name)
            if not _hidden(name):
                inside = path.relative_to(source).as_posix()
                files[inside] = File(str(path), path.stat().st_size, path.read_bytes)
    return files


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))

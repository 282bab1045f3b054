"""What a storage does, and which one an address names.

A bundle is a folder of files that is there as a whole or not at all. On a disk it gets its name when it is
complete; an object store has no such moment, so there it counts once the file is written that seals it, which
is written last and deleted first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

Piece = bytes | memoryview
"""a part of a file's content; nothing is put together in memory"""


class Bundles(Protocol):
    """The bundles in one place, written by one process at a time.

    Every method raises OSError, its message the operation and the cause, with no credentials in it;
    FileNotFoundError means that the storage has answered and there is no such thing.
    """

    @property
    def address(self) -> str:
        """Where they are, as a person would write it; without credentials."""

    def sizes(self) -> dict[str, int]:
        """Name -> bytes, of every bundle that is there."""

    def read(self, name: str, file: str) -> bytes: ...

    def write(self, name: str, files: Mapping[str, Sequence[Piece]]) -> None:
        """Put a bundle there, in place of one of the same name; the last file seals it. Nothing is left
        where it fails, as far as the storage can still be told."""

    def delete(self, name: str) -> None: ...

    def sweep(self) -> None:
        """Delete what killed writers left."""


def bundles(address: str, name: str, *, seal: str) -> Bundles:
    """Those in the folder `name` at a path, or at a URI such as `s3://bucket/prefix`; `seal`: the file that
    makes one complete. Raises CheckpointError where the URI cannot be understood."""
    scheme, separator, _ = address.partition("://")
    if separator and scheme != "file":
        from lab.storage.objects import ObjectStore

        return ObjectStore.at(within(address, name), seal=seal)

    from lab.storage.disk import Disk

    folder = unquote(urlsplit(address).path) if separator else address
    return Disk(Path(folder).absolute() / name)


def within(address: str, name: str) -> str:
    """The address of something in the folder at a path or URI."""
    if "://" not in address:
        return str(Path(address, name))
    parts = urlsplit(address)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))

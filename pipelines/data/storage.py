"""Where prepared data is: a folder on a local disk or an object store, through `pyarrow.fs`."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from lab.errors import DataError

PARTIAL = ".partial"


@dataclass(frozen=True)
class Directory:
    """One data set's folder. Names are plain file names in it."""

    filesystem: fs.FileSystem
    path: str

    @classmethod
    def at(cls, root: str, name: str) -> Directory:
        """`root` is a path, or a URI such as `s3://bucket/data`. Raises DataError when the URI cannot be
        understood.
        """
        if "://" not in root:
            return cls(fs.LocalFileSystem(), str(Path(root).absolute() / name))
        try:
            filesystem, path = fs.FileSystem.from_uri(root)
        except (pa.ArrowException, OSError, ValueError) as fault:
            raise DataError(
                f"data address {root!r} cannot be opened: {fault}. Give a path or a URI like s3://."
            ) from None
        return cls(filesystem, f"{path.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """The data set's."""
        return self.path.rpartition("/")[2]

    @property
    def remedy(self) -> str:
        """What to do when something here is missing or damaged; only what is not as it should be is
        written again.
        """
        return f"run: lab data prepare {self.name}"

    def file(self, name: str) -> str:
        return f"{self.path}/{name}"

    def sizes(self) -> dict[str, int]:
        """File name -> bytes, of every file here; empty when there is no such folder."""
        found = self.filesystem.get_file_info(fs.FileSelector(self.path, allow_not_found=True))
        return {info.base_name: info.size for info in found if info.type == fs.FileType.File}

    def open(self, name: str) -> Any:
        """A random access file. Raises FileNotFoundError."""
        return self.filesystem.open_input_file(self.file(name))

    def read(self, name: str) -> bytes:
        with self.open(name) as file:
            return bytes(file.read())

    def sha256(self, name: str) -> str:
        digest = hashlib.sha256()
        with self.filesystem.open_input_stream(self.file(name)) as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
        return digest.hexdigest()

    def delete(self, name: str) -> None:
        if self.filesystem.get_file_info(self.file(name)).type == fs.FileType.File:
            self.filesystem.delete_file(self.file(name))

    @contextmanager
    def writing(self, name: str) -> Iterator[Hashing]:
        """A stream that becomes the file `name` when the block ends, and leaves nothing behind when it fails.

        Raises DataError naming the file when the storage refuses (a full disk, no permission).
        """
        partial = f"{name}.{uuid.uuid4().hex}{PARTIAL}"
        try:
            self.filesystem.create_dir(self.path, recursive=True)
            try:
                with self.filesystem.open_output_stream(self.file(partial)) as stream:
                    yield Hashing(stream)
                self.filesystem.move(self.file(partial), self.file(name))
            except BaseException:
                self.delete(partial)
                raise
        except OSError as fault:
            raise DataError(f"{self.file(name)} cannot be written: {fault}.") from None

    def sweep(self) -> None:
        """Deletes what killed writers left. Only under the lock."""
        for name in self.sizes():
            if name.endswith(PARTIAL):
                self.delete(name)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time; others wait. The system frees the lock of a killed process.

        On object storage the lock holds for this machine only. Two machines that prepare the same data
        write the same bytes under the same names, each atomically, so there it saves work and nothing
        depends on it.
        """
        if isinstance(self.filesystem, fs.LocalFileSystem):
            lock = Path(self.path, ".lock")
        else:
            place = hashlib.sha256(f"{self.filesystem.type_name}:{self.path}".encode()).hexdigest()[:16]
            lock = Path(tempfile.gettempdir(), f"lab-data-{os.getuid()}-{place}.lock")
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            handle = lock.open("a")
        except OSError as fault:
            raise DataError(f"{lock.parent} cannot be written: {fault}.") from None
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


class Hashing:
    """The writable stream of a file, with the sha256 and the number of the bytes that went through."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.bytes = 0
        self.closed = False

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._stream.write(view)
        self._digest.update(view)
        self.bytes += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        self._stream.flush()

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        """Closing is left to whoever opened the file."""

"""Where prepared data is: a folder on a local disk or an object store, through `pyarrow.fs`.

An address such as `s3://bucket/data` takes credentials and endpoint from where every S3 client does:
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or the machine's role; AWS_ENDPOINT_URL for
another store than Amazon's. A request that fails is made five times, with growing pauses, before it is
given up.

Stores are opened, and what they answer is read, by `lab.storage`. Its bundles, which are written and read
whole, are no place for shards: those are written as they are made, and read a row group at a time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from lab.errors import DataError, StorageUnavailable
from lab.storage.objects import opened
from lab.tracking.address import shown
from pipelines.data.refusals import no_bucket, unavailable

PARTIAL = ".partial"

ATTEMPTS = 5
"""Times that a request to a store is made."""

ABANDONED = timedelta(hours=1)
"""How old a partial object must be that nobody is thought to be writing any more: on an object store, where
the lock does not reach other machines, a younger one may be about to get its name."""


@dataclass(frozen=True)
class Directory:
    """One data set's folder. Names are plain file names in it; `scheme` is what the address began with."""

    filesystem: fs.FileSystem
    path: str
    scheme: str = ""

    @classmethod
    def at(cls, root: str, name: str) -> Directory:
        """`root` is a path, or a URI such as `s3://bucket/data`. Raises DataError when the URI cannot be
        understood, StorageUnavailable when there is nobody to ask.
        """
        scheme, separator, _ = root.partition("://")
        if not separator:
            return cls(fs.LocalFileSystem(), str(Path(root).absolute() / name))
        try:
            filesystem, path = opened(root, attempts=ATTEMPTS)
        except OSError as fault:
            raise unavailable(f"data address {shown(root)}", "opened", fault) from None
        except (pa.ArrowException, ValueError) as fault:
            raise DataError(
                f"data address {shown(root)!r} cannot be opened: {shown(str(fault), root)}. Give a path or a "
                "URI like s3://bucket/data."
            ) from None
        local = isinstance(filesystem, fs.LocalFileSystem)
        return cls(filesystem, f"{path.rstrip('/')}/{name}", "" if local else f"{scheme}://")

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

    @property
    def local(self) -> bool:
        """Whether it is on a disk of this machine, or what is mounted like one."""
        return not self.scheme

    @property
    def address(self) -> str:
        """Where it is, as a person would write it; without credentials."""
        return self.scheme + self.path

    @property
    def reads(self) -> int:
        """How many reads are worth having in flight at once: what hides 30 ms of latency, or one that runs
        while another is being checked."""
        return 2 if self.local else 16

    def file(self, name: str) -> str:
        """The address of a file."""
        return f"{self.address}/{name}"

    def sizes(self) -> dict[str, int]:
        """File name -> bytes, of every file here; empty when there is no such folder."""
        return {info.base_name: info.size for info in self._files()}

    def open(self, name: str) -> Any:
        """A random access file. Raises FileNotFoundError."""
        with self._asking(name, "opened"):
            return self.filesystem.open_input_file(self._place(name))

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError."""
        with self._asking(name, "read"), self.filesystem.open_input_stream(self._place(name)) as stream:
            return bytes(stream.read())

    def sha256(self, name: str) -> str:
        digest = hashlib.sha256()
        with self._asking(name, "read"), self.filesystem.open_input_stream(self._place(name)) as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
        return digest.hexdigest()

    def delete(self, name: str) -> None:
        with self._asking(name, "deleted"):
            if self.filesystem.get_file_info(self._place(name)).type == fs.FileType.File:
                self.filesystem.delete_file(self._place(name))

    @contextmanager
    def writing(self, name: str) -> Iterator[Hashing]:
        """A stream that becomes the file `name` when the block ends, and leaves nothing behind when it fails.

        An object store, too, is given another name first: pyarrow completes what was begun even when the
        block fails, and a half-written object must not be seen under the name of a whole one. What a killed
        writer had begun there is no object at all; the bucket's rule for incomplete multipart uploads frees
        its space.

        Raises StorageUnavailable naming the file (a full disk, no permission, a store that is away).
        """
        partial = f"{name}.{uuid.uuid4().hex}{PARTIAL}"
        try:
            self.filesystem.create_dir(self.path, recursive=True)
            try:
                with self.filesystem.open_output_stream(self._place(partial)) as stream:
                    yield Hashing(stream)
                self.filesystem.move(self._place(partial), self._place(name))
            except BaseException:
                with suppress(StorageUnavailable):
                    self.delete(partial)
                raise
        except OSError as fault:
            raise unavailable(self.file(name), "written", fault) from None

    def sweep(self) -> None:
        """Deletes what killed writers left. Only under the lock."""
        for info in self._files():
            young = not self.local and datetime.now(UTC) - info.mtime < ABANDONED
            if info.base_name.endswith(PARTIAL) and not young:
                self.delete(info.base_name)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time; others wait. The system frees the lock of a killed process.

        On object storage the lock holds for this machine only. Two machines that prepare the same data
        write the same bytes under the same names, each atomically, so there it saves work and nothing
        depends on it.
        """
        if self.local:
            lock = Path(self.path, ".lock")
        else:
            place = hashlib.sha256(f"{self.filesystem.type_name}:{self.path}".encode()).hexdigest()[:16]
            lock = Path(tempfile.gettempdir(), f"lab-data-{os.getuid()}-{place}.lock")
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            handle = lock.open("a")
        except OSError as fault:
            raise unavailable(str(lock.parent), "written", fault) from None
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _place(self, name: str) -> str:
        """What the filesystem calls a file."""
        return f"{self.path}/{name}"

    def _files(self) -> list[Any]:
        with self._asking("", "listed"):
            found = self.filesystem.get_file_info(fs.FileSelector(self.path, allow_not_found=True))
        return [info for info in found if info.type == fs.FileType.File]

    @contextmanager
    def _asking(self, name: str, what: str) -> Iterator[None]:
        """Whoever asks the filesystem is told what it answers as StorageUnavailable, but for a file that does
        not exist."""
        where = self.file(name) if name else self.address
        try:
            yield
        except FileNotFoundError:
            bucket = self.path.partition("/")[0]
            if not self.local and self.filesystem.get_file_info(bucket).type == fs.FileType.NotFound:
                raise no_bucket(where, bucket) from None
            raise
        except OSError as fault:
            raise unavailable(where, what, fault) from None


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

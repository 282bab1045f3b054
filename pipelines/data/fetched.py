"""A stored file as Parquet reads it: bytes that do not come are told from bytes that make no sense."""

from __future__ import annotations

import pyarrow as pa

from pipelines.data.refusals import unavailable
from pipelines.data.storage import Directory


class Fetched:
    """One open file of a directory. Several threads may read it at once, each through its own `window`."""

    def __init__(self, directory: Directory, name: str) -> None:
        self._where = directory.file(name)
        self._file = directory.open(name)
        self.size: int = self._file.size()

    def read(self, start: int, stop: int) -> pa.Buffer:
        """The bytes [start, stop), in one request. Raises StorageUnavailable, or ValueError when the file
        ends before.
        """
        if not 0 <= start <= stop <= self.size:
            raise ValueError(f"bytes {start:,} to {stop:,} of {self.size:,}")
        if start == stop:
            return pa.py_buffer(b"")
        try:
            return pa.py_buffer(self._file.read_at(stop - start, start))
        except OSError as fault:
            raise unavailable(self._where, "read", fault) from None

    def window(self, start: int = 0, stop: int = 0) -> pa.PythonFile:
        """The file for one reader. The bytes [start, stop) are fetched now, others when asked for."""
        return pa.PythonFile(_Window(self, start, self.read(start, stop)), mode="r")


class _Window:
    """What pyarrow asks of a file object."""

    closed = False

    def __init__(self, file: Fetched, start: int, held: pa.Buffer) -> None:
        self._file = file
        self._start = start
        self._held = held
        self._position = 0

    def read(self, size: int = -1) -> pa.Buffer:
        start = self._position
        stop = self._file.size if size < 0 else min(start + size, self._file.size)
        self._position = stop
        if self._start <= start and stop <= self._start + self._held.size:
            return self._held.slice(start - self._start, stop - start)
        return self._file.read(start, stop)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._file.size)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def close(self) -> None:
        """The file is open for others."""

"""Parquet shards: written so that reading costs nothing beside decoding, read with every checksum verified.

Payload columns are stored plain (they are compressed media, or too small to matter), so that a row is a
slice of the page that was read; statistics and dictionaries over them would be waste. Page checksums are
on: without them a flipped bit inside an image is decoded in silence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lab.errors import CorruptShard, DataError
from pipelines.data.fetched import Fetched
from pipelines.data.manifest import ShardFile
from pipelines.data.storage import Directory

Row = Mapping[str, Any]
"""Column -> value, or None. Binary values are memoryviews into the row group: copy what must outlive it."""

_LEFT_OUT = "left_out"

# What pyarrow raises for bytes that make no sense, depending on which bytes they are.
_UNREADABLE = (OSError, pa.ArrowException, ValueError, IndexError, KeyError, MemoryError, UnicodeDecodeError)


def write_shard(
    directory: Directory,
    name: str,
    schema: pa.Schema,
    about: Mapping[str, str],
    row_groups: Iterable[Sequence[Row]],
    *,
    left_out: Mapping[str, int] | None = None,
) -> ShardFile:
    """Writes one file, whole or not at all, a row group at a time. `about` goes into its footer, and so does
    what `left_out` counts by then. Raises DataError.
    """
    sizes = []
    schema = schema.with_metadata({key.encode(): value.encode() for key, value in about.items()})
    with directory.writing(name) as stream:
        with pq.ParquetWriter(
            stream,
            schema,
            compression="none",
            use_dictionary=False,
            write_statistics=False,
            write_page_checksum=True,
            write_page_index=True,
        ) as writer:
            for rows in row_groups:
                writer.write_table(pa.Table.from_pylist(list(rows), schema=schema), row_group_size=len(rows))
                sizes.append(len(rows))
            if left_out:
                writer.add_key_value_metadata({_LEFT_OUT: json.dumps(dict(left_out), sort_keys=True)})
        return ShardFile(name=name, row_groups=tuple(sizes), sha256=stream.sha256, bytes=stream.bytes)


@dataclass(frozen=True)
class Footer:
    """What a file says of itself: what `write_shard` was told, and how many rows its row groups hold."""

    about: Mapping[str, str]
    left_out: Mapping[str, int]
    row_groups: tuple[int, ...]


def footer(directory: Directory, name: str) -> Footer:
    """Raises CorruptShard."""
    try:
        opened = pq.ParquetFile(Fetched(directory, name).window())
        metadata = opened.schema_arrow.metadata or {}
        about = {key.decode(): value.decode() for key, value in metadata.items()}
        left_out = json.loads((opened.metadata.metadata or {}).get(_LEFT_OUT.encode(), "{}"))
        groups = range(opened.metadata.num_row_groups)
        return Footer(about, left_out, tuple(opened.metadata.row_group(i).num_rows for i in groups))
    except _UNREADABLE as fault:
        raise CorruptShard(f"{directory.file(name)} cannot be read: {_first_line(fault)}") from None


class RowGroup(Sequence[Row]):
    """The examples of one row group, decoded from Parquet but not from their own format."""

    def __init__(self, table: pa.Table) -> None:
        self._rows: int = table.num_rows
        self._columns = {name: _column(_whole(table.column(name))) for name in table.column_names}
        self.bytes = table.nbytes

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, index: Any) -> Any:
        return {name: column[index] for name, column in self._columns.items()}


class ShardReader:
    """One shard, opened on first use, for several threads at once. It is closed when it is forgotten."""

    def __init__(self, directory: Directory, file: ShardFile, schema: Mapping[str, str]) -> None:
        self.address = directory.file(file.name)
        self._directory = directory
        self._file = file
        self._schema = schema
        self._opening = Lock()
        self._opened: tuple[Fetched, pq.FileMetaData] | None = None
        self._fault: Exception | None = None

    def read(self, group: int, columns: Sequence[str]) -> RowGroup:
        """The examples of row group `group`, in one request. Raises CorruptShard naming the file and the row
        group, and StorageUnavailable when its bytes do not come.
        """
        try:
            fetched, metadata = self._open()
            window = fetched.window(*_extent(metadata, group, columns))
            parquet = pq.ParquetFile(window, metadata=metadata, page_checksum_verification=True)
            rows = RowGroup(parquet.read_row_group(group, columns=list(columns), use_threads=False))
            if len(rows) != self._file.row_groups[group]:
                raise ValueError(f"{len(rows)} rows where the manifest says {self._file.row_groups[group]}")
        except FileNotFoundError:
            raise DataError(f"{self.address} is missing; {self._directory.remedy}") from None
        except _UNREADABLE as fault:
            raise CorruptShard(
                f"{self.address}, row group {group}, is damaged: {_first_line(fault)}; "
                f"{self._directory.remedy}"
            ) from None
        return rows

    def _open(self) -> tuple[Fetched, pq.FileMetaData]:
        """Once for all threads; what one of them has waited for in vain the others need not wait for."""
        with self._opening:
            if self._fault:
                raise self._fault
            try:
                self._opened = self._opened or self._look()
            except Exception as fault:
                self._fault = fault
                raise
            return self._opened

    def _look(self) -> tuple[Fetched, pq.FileMetaData]:
        fetched = Fetched(self._directory, self._file.name)
        opened = pq.ParquetFile(fetched.window())
        found = schema_text(opened.schema_arrow)
        if found != dict(self._schema):
            raise ValueError(f"columns {found} where the manifest says {dict(self._schema)}")
        split = (opened.schema_arrow.metadata or {}).get(b"split", b"").decode()
        if split and not self._file.name.startswith(f"{split}-"):
            raise ValueError(f"it is a file of the split {split!r}")
        return fetched, opened.metadata


def _extent(metadata: pq.FileMetaData, group: int, columns: Sequence[str]) -> tuple[int, int]:
    """The bytes of a row group that hold these columns; none when most of them would be of other columns,
    so that each is asked for by itself.
    """
    chunks = metadata.row_group(group)
    wanted = [chunks.column(index) for index in range(chunks.num_columns)]
    wanted = [chunk for chunk in wanted if chunk.path_in_schema.partition(".")[0] in columns]
    start = min(chunk.data_page_offset for chunk in wanted)
    stop = max(chunk.data_page_offset + chunk.total_compressed_size for chunk in wanted)
    used = sum(chunk.total_compressed_size for chunk in wanted)
    return (start, stop) if stop - start < 2 * used else (0, 0)


def schema_text(schema: pa.Schema) -> dict[str, str]:
    """Column -> Arrow type, as manifests hold it."""
    return {field.name: str(field.type) for field in schema}


def _whole(chunks: pa.ChunkedArray) -> pa.Array:
    # Joining copies, even a single chunk; a row group nearly always is one.
    return chunks.chunk(0) if chunks.num_chunks == 1 else chunks.combine_chunks()


def _column(array: pa.Array) -> Any:
    """Something that gives the value of row i: views into the page for binary columns."""
    if pa.types.is_binary(array.type):
        _, offsets, data = array.buffers()
        bounds = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1].tolist()
        # Without the cast the view has the format 'b', which decoders refuse.
        view = memoryview(data).cast("B") if data is not None else memoryview(b"")
        return _Slices(view, bounds, array.is_valid().to_pylist() if array.null_count else None)
    return array.to_pylist()


class _Slices:
    def __init__(self, view: memoryview, bounds: list[int], valid: list[bool] | None) -> None:
        self._view = view
        self._bounds = bounds
        self._valid = valid

    def __getitem__(self, index: int) -> memoryview | None:
        if self._valid and not self._valid[index]:
            return None
        return self._view[self._bounds[index] : self._bounds[index + 1]]


def _first_line(fault: BaseException) -> str:
    return (str(fault).splitlines() or [type(fault).__name__])[0].rstrip(".")

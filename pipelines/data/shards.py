"""Parquet shards: written so that reading costs nothing beside decoding, read with every checksum verified.

Payload columns are stored plain (they are compressed media, or too small to matter), so that a row is a
slice of the page that was read; statistics and dictionaries over them would be waste. Page checksums are
on: without them a flipped bit inside an image is decoded in silence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lab.errors import CorruptShard
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
        with directory.open(name) as file:
            opened = pq.ParquetFile(file)
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
    """One shard, opened on first use. Not for several threads at once."""

    def __init__(self, directory: Directory, file: ShardFile, schema: Mapping[str, str]) -> None:
        self._directory = directory
        self._file = file
        self._schema = schema

    def read(self, group: int, columns: Sequence[str]) -> RowGroup:
        """The examples of row group `group`. Raises CorruptShard naming the file and the row group."""
        try:
            read = self._parquet.read_row_group(group, columns=list(columns), use_threads=False)
            rows = RowGroup(read)
            if len(rows) != self._file.row_groups[group]:
                raise ValueError(f"{len(rows)} rows where the manifest says {self._file.row_groups[group]}")
        except _UNREADABLE as fault:
            raise CorruptShard(
                f"{self._directory.file(self._file.name)}, row group {group}, is damaged: "
                f"{_first_line(fault)}; {self._directory.remedy}"
            ) from None
        return rows

    @cached_property
    def _parquet(self) -> pq.ParquetFile:
        # pre_buffer joins the reads of a row group into one request, which is what counts on object storage.
        source = self._directory.open(self._file.name)
        opened = pq.ParquetFile(source, pre_buffer=True, page_checksum_verification=True)
        found = schema_text(opened.schema_arrow)
        if found != dict(self._schema):
            raise ValueError(f"columns {found} where the manifest says {dict(self._schema)}")
        return opened

    def close(self) -> None:
        if "_parquet" in self.__dict__:
            self._parquet.close(force=True)


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

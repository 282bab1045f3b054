"""Tables that other programs wrote, Parquet or Arrow, opened so that any one row can be read alone.

Preparation reads rows in random order. A row of a Parquet file cannot be had without its whole row group, and
a hundred times the data would be read; so Parquet is unpacked once, file by file, into Arrow files in a
scratch folder, which are mapped into memory like those that Hugging Face caches. The scratch takes as much
room as the images do, until the preparation is done; where there is less, nothing is begun.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lab.errors import DataError
from pipelines.data.build import Progress

ENDINGS = (".parquet", ".arrow")
ROWS = 256
"""Unpacked at a time."""

_OF = re.compile(r"(.*\D|)(\d+)-of-(\d+)")
_UNREADABLE = (OSError, pa.ArrowException, ValueError)

Columns = Mapping[str, pa.ChunkedArray]
"""Dotted name (`image.bytes`) -> its values."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The bytes in one row of a table."""

    column: pa.ChunkedArray
    row: int
    size: int
    path: str

    def __str__(self) -> str:
        return f"{self.path}, row {self.row}"

    def read(self) -> bytes:
        return bytes(self.column[self.row].as_buffer())


def cells(column: pa.ChunkedArray, path: Path) -> list[Cell]:
    """The place of every value of a binary column. Raises DataError naming the row that has none."""
    sizes = pc.binary_length(column).to_pylist()
    if column.null_count:
        raise DataError(
            f"{path}, row {sizes.index(None)} has no image bytes: save the table with its images in it, "
            "not with paths to them."
        )
    return [Cell(column, row, size, str(path)) for row, size in enumerate(sizes)]


@contextmanager
def scratch(root: str, name: str) -> Iterator[Path]:
    """A folder for what is unpacked: beside local data, else in TMPDIR. It stays when the block fails, so
    that the next attempt goes on, and is deleted when it ends well.
    """
    place = Path(tempfile.gettempdir(), "lab-data") if "://" in root else Path(root)
    folder = place.absolute() / ".unpacked" / name
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def require_complete(paths: Sequence[Path]) -> None:
    """Raise DataError naming the first file that is missing of a series `...-00000-of-00294`."""
    series: dict[tuple[str, int], set[int]] = {}
    for path in paths:
        if found := _OF.fullmatch(path.stem):
            series.setdefault((f"{path.parent / found[1]}", int(found[3])), set()).add(int(found[2]))
    for (begin, total), numbers in series.items():
        if missing := sorted(set(range(total)) - numbers):
            raise DataError(
                f"{begin}{missing[0]:05d}-of-{total:05d} is missing, with {len(missing)} of {total} files in "
                "all: copy the rest."
            )


def columns_of(path: Path) -> tuple[str, ...]:
    """The dotted names of the columns in a file. Raises DataError when it cannot be read."""
    return tuple(_leaves(schema_of(path)))


def schema_of(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path) if path.suffix == ".parquet" else _mapped(path).schema
    except _UNREADABLE as fault:
        raise _broken(path, fault) from None


def opened(
    paths: Sequence[Path], names: Sequence[str], folder: Path, progress: Progress, what: str
) -> Iterator[tuple[Path, Columns]]:
    """(file, its columns with these dotted names) of every file, unpacked into `folder` where needed.

    Raises DataError naming the file that cannot be read or lacks a column, or the scratch that is too small.
    """
    for path in paths:
        if missing := sorted(set(names) - set(known := columns_of(path))):
            raise DataError(f"{path} has no column {missing[0]!r}; it has {', '.join(known)}.")
    _require_room(paths, names, folder)
    with ThreadPoolExecutor(4, thread_name_prefix="unpack") as pool:
        ready = [pool.submit(_ready, path, names, folder) for path in paths]
        try:
            for done, (path, arrow) in enumerate(zip(paths, ready, strict=True)):
                progress(f"unpack {what}", done, len(paths))
                table = _mapped(arrow.result())
                yield path, {name: _leaf(table, name) for name in names}
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    progress(f"unpack {what}", len(paths), len(paths))


def _require_room(paths: Sequence[Path], names: Sequence[str], folder: Path) -> None:
    """Raise DataError when what is not unpacked yet is more than fits where the scratch is."""
    needed = sum(_size(path, names) for path in paths if not _target(path, names, folder).exists())
    place = next(each for each in (folder, *folder.parents) if each.exists())
    if needed > (free := shutil.disk_usage(place).free):
        raise DataError(
            f"unpacking {paths[0].parent} takes {needed / 1e9:,.1f} GB of scratch in {folder}, where "
            f"{free / 1e9:,.1f} GB are free: free some space, or set LAB_DATA (TMPDIR where that is on an "
            "object store) to a folder on a larger disk."
        )


def _size(path: Path, names: Sequence[str]) -> int:
    """The bytes of these columns in a Parquet file, unpacked."""
    groups = pq.read_metadata(path)
    return sum(
        chunk.total_uncompressed_size
        for group in map(groups.row_group, range(groups.num_row_groups))
        for chunk in map(group.column, range(group.num_columns))
        if chunk.path_in_schema.startswith(tuple(names))
    )


def _target(path: Path, names: Sequence[str], folder: Path) -> Path:
    """The Arrow file with the contents of `path`: itself, or where it is unpacked to."""
    if path.suffix == ".arrow":
        return path
    state = path.stat()
    version = repr((str(path.absolute()), state.st_size, state.st_mtime_ns, sorted(names)))
    return folder / f"{path.stem}-{hashlib.sha256(version.encode()).hexdigest()[:16]}.arrow"


def _ready(path: Path, names: Sequence[str], folder: Path) -> Path:
    """The Arrow file with the contents of `path`, unpacked where needed, whole or not at all."""
    target = _target(path, names, folder)
    if target.exists():
        return target
    partial = target.with_suffix(".partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with pa.OSFile(str(partial), "wb") as sink:
            _unpack(path, names, sink)
        partial.rename(target)
    except OSError as fault:
        raise DataError(
            f"{partial} cannot be written: {fault}. Unpacking takes as much room as {path} does."
        ) from None
    finally:
        partial.unlink(missing_ok=True)
    return target


def _unpack(path: Path, names: Sequence[str], sink: pa.NativeFile) -> None:
    batches = _batches(path, names)
    first = next(batches, None)
    if first is None:
        raise DataError(f"{path} has no rows: delete it, or copy it again.")
    with pa.ipc.new_stream(sink, first.schema) as writer:
        for batch in chain([first], batches):
            writer.write_batch(batch)


def _batches(path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield from file.iter_batches(ROWS, columns=list(names), use_threads=False)
    except _UNREADABLE as fault:
        raise _broken(path, fault) from None


def _mapped(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        try:
            return pa.ipc.open_stream(source).read_all()
        except pa.ArrowInvalid:
            return pa.ipc.open_file(source).read_all()


def _leaf(table: pa.Table, name: str) -> pa.ChunkedArray:
    top, *below = name.split(".")
    column = table.column(top)
    for field in below:
        column = pc.struct_field(column, field)
    return column


def _leaves(fields: pa.Schema | pa.StructType, above: str = "") -> Iterator[str]:
    for field in fields:
        if pa.types.is_struct(field.type):
            yield from _leaves(field.type, f"{above}{field.name}.")
        else:
            yield f"{above}{field.name}"


def _broken(path: Path, fault: BaseException) -> DataError:
    line = (str(fault).splitlines() or [type(fault).__name__])[0].rstrip(".")
    return DataError(f"{path} is damaged or no table: {line}; copy it again.")

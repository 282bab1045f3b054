"""What is written is what is read, or the reader says which file and which row group are damaged."""

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lab.errors import CorruptShard, DataError
from pipelines.data import shards
from pipelines.data.manifest import ShardFile
from pipelines.data.shards import ShardReader, schema_text, write_shard
from pipelines.data.storage import Directory

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("payload", pa.binary(), nullable=False),
    ]
)
GROUPS = [range(5), range(5, 9), range(9, 10)]


def payload(index: int) -> bytes:
    return np.random.default_rng(index).bytes(40 + index)


ROWS = [[{"key": f"{i:05d}", "label": i % 2, "payload": payload(i)} for i in group] for group in GROUPS]


def written(root: str) -> tuple[Directory, ShardFile]:
    directory = Directory.at(root, "numbers")
    return directory, write_shard(directory, "train.parquet", SCHEMA, {"dataset": "numbers"}, ROWS)


def read(directory: Directory, file: ShardFile) -> list[list[dict]]:
    reader = ShardReader(directory, file, schema_text(SCHEMA))
    groups = [reader.read(group, SCHEMA.names) for group in range(len(file.row_groups))]
    return [[{**row, "payload": bytes(row["payload"])} for row in group] for group in groups]


@pytest.mark.parametrize("address", ["{}", "file://{}"], ids=["path", "uri"])
def test_rows_come_back_as_they_were_written(tmp_path: Path, address: str) -> None:
    directory, file = written(address.format(tmp_path))
    assert file.row_groups == (5, 4, 1)
    assert read(directory, file) == ROWS
    assert shards.footer(directory, file.name).about == {"dataset": "numbers"}


def test_the_manifests_view_of_a_file_is_the_systems(tmp_path: Path) -> None:
    directory, file = written(str(tmp_path))
    path = tmp_path / "numbers" / file.name
    digest = subprocess.run(
        ["sha256sum", str(path)], capture_output=True, text=True, check=True
    ).stdout.split()[0]
    assert (file.sha256, file.bytes) == (digest, path.stat().st_size)
    assert directory.sha256(file.name) == digest


def test_payloads_are_stored_plain_and_every_page_has_a_checksum(tmp_path: Path) -> None:
    _directory, file = written(str(tmp_path))
    path = tmp_path / "numbers" / file.name
    metadata = pq.ParquetFile(path).metadata
    column = metadata.row_group(0).column(2)
    assert column.path_in_schema == "payload"
    assert column.compression == "UNCOMPRESSED"
    assert not column.has_dictionary_page
    assert not column.is_stats_set
    assert payload(0) in path.read_bytes()


@pytest.mark.parametrize("first", [0, *(pytest.param(first, marks=pytest.mark.slow) for first in (1, 2, 3))])
def test_any_flipped_byte_is_reported_or_changes_nothing(tmp_path: Path, first: int) -> None:
    """Every fourth byte of the file in turn. Some bytes of the footer mean nothing; rows never change in
    silence."""
    directory, file = written(str(tmp_path))
    path = tmp_path / "numbers" / file.name
    whole = path.read_bytes()
    reports: list[str] = []
    for place in range(first, len(whole), 4):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            assert read(directory, file) == ROWS
        except CorruptShard as fault:
            reports.append(str(fault))
    assert all("numbers/train.parquet, row group" in report for report in reports)
    assert len(reports) > sum(len(payload(i)) for i in range(10)) // 4


def test_a_flipped_byte_of_an_example_names_its_row_group(tmp_path: Path) -> None:
    directory, file = written(str(tmp_path))
    path = tmp_path / "numbers" / file.name
    whole = path.read_bytes()
    for group, members in enumerate(GROUPS):
        place = whole.index(payload(members[0])) + 20
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        reader = ShardReader(directory, file, schema_text(SCHEMA))
        for other in set(range(3)) - {group}:
            reader.read(other, SCHEMA.names)
        with pytest.raises(
            CorruptShard, match=rf"train.parquet, row group {group}, .*run: lab data prepare numbers"
        ):
            reader.read(group, SCHEMA.names)


def test_a_file_cut_anywhere_is_reported(tmp_path: Path) -> None:
    directory, file = written(str(tmp_path))
    path = tmp_path / "numbers" / file.name
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptShard, match=r"train.parquet, row group 0"):
            read(directory, file)


def test_a_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    directory, file = written(str(tmp_path))
    with pytest.raises(CorruptShard, match="columns"):
        ShardReader(directory, file, {"key": "string"}).read(0, ["key"])


def test_a_failing_writer_leaves_nothing_behind(tmp_path: Path) -> None:
    def rows():
        yield ROWS[0]
        raise RuntimeError("the source is gone")

    directory = Directory.at(str(tmp_path), "numbers")
    with pytest.raises(RuntimeError, match="the source is gone"):
        write_shard(directory, "train.parquet", SCHEMA, {}, rows())
    assert list((tmp_path / "numbers").iterdir()) == []


def test_a_full_disk_is_one_clear_error_and_leaves_nothing_behind(tmp_path: Path, background: Any) -> None:
    """A limit on the size of files stands for the full disk: the system refuses to write on."""
    program = """
        import pathlib, resource, signal
        import pyarrow as pa
        from lab.errors import DataError
        from pipelines.data.shards import write_shard
        from pipelines.data.storage import Directory
        begun.set()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        schema = pa.schema([pa.field("payload", pa.binary())])
        groups = [[{"payload": bytes(90_000)}]] * 9
        try:
            write_shard(Directory.at(root, "big"), "a.parquet", schema, {}, groups)
        except DataError as fault:
            pathlib.Path(root, "fault").write_text(str(fault))
    """
    background(program, root=str(tmp_path)).join(60)
    assert (tmp_path / "fault").read_text().startswith(f"{tmp_path}/big/a.parquet cannot be written: ")
    assert list((tmp_path / "big").iterdir()) == []


def test_an_address_nobody_understands_is_refused() -> None:
    with pytest.raises(DataError, match="data address 'no://where' cannot be opened"):
        Directory.at("no://where", "numbers")

"""What can happen to prepared data: each is one clear line that names the place, and preparing again is the
way out."""

import hashlib
import json
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lab.errors import CorruptShard, DataError, LabError
from pipelines.data import build
from pipelines.data.plan import Entry
from pipelines.data.storage import Directory

FILE = "train-00001-of-00005.parquet"


def contents(folder: Path) -> dict[str, str]:
    """File name -> hash of its bytes, without the lock."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if file.name != ".lock"
    }


def verified(numbers: Any) -> None:
    directory = Directory.at(str(numbers.root), "numbers")
    build.verify(directory, build.manifests.read(directory))


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def edit(numbers: Any, change: Callable[[dict[str, Any]], Any]) -> None:
    path = numbers.folder / "manifest.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def regions(path: Path) -> dict[str, int]:
    """A place in each part of a Parquet file, found by pyarrow and by the format's own text."""
    metadata, size = pq.read_metadata(path), path.stat().st_size
    chunk = metadata.row_group(1).column(2)
    footer = int.from_bytes(path.read_bytes()[-8:-4], "little")
    return {
        "magic": 1,
        "page header": chunk.data_page_offset + 2,
        "page": chunk.data_page_offset + chunk.total_compressed_size - 3,
        "schema in the footer": size - 8 - footer + 6,
        "end of the footer": size - 8 - 4,
        "length of the footer": size - 8,
    }


@pytest.mark.parametrize(
    "region",
    ["magic", "page header", "page", "schema in the footer", "end of the footer", "length of the footer"],
)
def test_a_flipped_bit_anywhere_is_found_named_and_repaired(numbers: Any, region: str) -> None:
    numbers.prepare()
    whole = contents(numbers.folder)
    flip(numbers.folder / FILE, regions(numbers.folder / FILE)[region])
    with pytest.raises(CorruptShard) as found:
        verified(numbers)
    text = str(found.value)
    assert text.startswith(f"{numbers.folder}/{FILE}")
    assert text.endswith("run: lab data prepare numbers")
    assert "\n" not in text
    if region in {"page header", "page"}:
        assert f"{FILE}, row group 1, is damaged: " in text
    numbers.prepare()
    assert contents(numbers.folder) == whole


@pytest.mark.parametrize("region", ["page header", "page"])
def test_a_flipped_bit_in_an_example_stops_the_stream_by_name(numbers: Any, region: str) -> None:
    numbers.prepare()
    source = numbers.open()
    flip(numbers.folder / FILE, regions(numbers.folder / FILE)[region])
    with pytest.raises(CorruptShard, match=f"{FILE}, row group 1, is damaged: "):
        list(source.scan("train", batch_size=10))


def test_a_file_cut_short_while_it_is_read_is_named(numbers: Any) -> None:
    numbers.prepare()
    source = numbers.open()
    path = numbers.folder / FILE
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CorruptShard, match=f"{FILE}, row group 0, is damaged: "):
        list(source.scan("train", batch_size=10))


def test_a_file_that_vanishes_while_it_is_read_is_named(numbers: Any) -> None:
    numbers.prepare()
    source = numbers.open()
    (numbers.folder / FILE).unlink()
    with pytest.raises(DataError, match=rf"{FILE} is missing; run: lab data prepare numbers"):
        list(source.scan("train", batch_size=10))


def test_files_exchanged_between_splits_are_named(numbers: Any) -> None:
    """Splits whose files have equal sizes, so that no size shows it."""
    entries = [Entry(f"{index:05d}", 40, index) for index in range(20)]
    plan = replace(numbers.plan(0), splits={"left": entries[:10], "rite": entries[10:]})
    build.build(str(numbers.root), "numbers", 1, lambda: plan)
    whole = contents(numbers.folder)
    left, right = (numbers.folder / f"{split}-00000-of-00001.parquet" for split in ("left", "rite"))
    one, other = left.read_bytes(), right.read_bytes()
    assert len(one) == len(other)
    left.write_bytes(other)
    right.write_bytes(one)
    with pytest.raises(CorruptShard, match=r"left-00000-of-00001.parquet.* it is a file of the split 'rite'"):
        list(numbers.open().scan("left", batch_size=5))
    with pytest.raises(
        CorruptShard, match=r"left-00000-of-00001.parquet holds the bytes of rite-00000-of-00001.parquet"
    ):
        verified(numbers)
    build.build(str(numbers.root), "numbers", 1, lambda: plan)
    assert contents(numbers.folder) == whole


def test_a_file_with_other_columns_is_named(numbers: Any) -> None:
    numbers.prepare()
    path = numbers.folder / FILE
    pq.write_table(pa.table({"key": ["00001"], "picture": [b"..."]}), path)
    edit(numbers, lambda data: data["splits"][0]["files"][1].update(bytes=path.stat().st_size))
    with pytest.raises(
        CorruptShard, match=f"{FILE}, row group 0, .*columns .*'picture'.* where the manifest"
    ):
        list(numbers.open().scan("train", batch_size=10))


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("labels", lambda data: data["labels"].reverse()),
        ("source", lambda data: data.update(source="letters")),
        ("sha256", lambda data: data["splits"][0]["files"][1].update(sha256="0" * 64)),
        ("row_groups", lambda data: data["splits"][0]["files"][1].update(row_groups=[7, 7, 6])),
        ("split", lambda data: data["splits"][0]["files"].insert(0, data["splits"][1]["files"][0])),
        ("is not in the manifest", lambda data: data["splits"][0]["files"].pop(1)),
    ],
)
def test_a_manifest_that_was_changed_is_found_and_repaired(
    numbers: Any, what: str, change: Callable[[dict[str, Any]], Any]
) -> None:
    numbers.prepare()
    whole = contents(numbers.folder)
    edit(numbers, change)
    with pytest.raises(LabError, match=rf"(manifest.json|{FILE}).*{what}.*; run: lab data prepare"):
        verified(numbers)
    numbers.prepare()
    assert contents(numbers.folder) == whole


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_one_clear_line_and_preparing_goes_on_when_there_is_space(
    numbers: Any, small_disk: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"per_group": 100, "groups_per_file": 2}
    undisturbed = replace(numbers, root=tmp_path / "undisturbed")
    undisturbed.prepare(1000, **options)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(210_000))
    small = replace(numbers, root=small_disk)
    with pytest.raises(DataError) as full:
        small.prepare(1000, **options)
    text = str(full.value)
    assert text.startswith(f"{small.folder}/train-0000")
    assert "cannot be written: No space left on device; free some space" in text
    assert "\n" not in text
    left = contents(small.folder)
    assert not [name for name in left if name.endswith(".partial")]
    assert "manifest.json" not in left
    finished = contents(undisturbed.folder)
    assert left.items() <= finished.items()
    ballast.unlink()
    small.prepare(1000, **options)
    assert contents(small.folder) == finished


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_digits_killed_at_thirty_random_moments_come_out_the_same(
    tmp_path: Path, background: Callable[..., BaseProcess]
) -> None:
    program = """
        import pipelines.data
        begun.set()
        pipelines.data.prepare("digits", root)
    """
    begun = time.monotonic()
    background(program, root=str(tmp_path / "undisturbed")).join(60)
    duration = time.monotonic() - begun
    for _ in range(30):
        process = background(program, root=str(tmp_path / "disturbed"))
        time.sleep(random.uniform(0, duration))
        process.kill()
        process.join()
    background(program, root=str(tmp_path / "disturbed")).join(60)
    whole = contents(tmp_path / "undisturbed" / "digits")
    assert "manifest.json" in whole
    assert contents(tmp_path / "disturbed" / "digits") == whole

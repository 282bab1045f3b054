"""Preparing again gives the same bytes, whatever happened the first time."""

import hashlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab.errors import CorruptShard, DataError
from pipelines.data import build
from pipelines.data.storage import Directory

Start = Callable[..., BaseProcess]

SLOW_PREPARATION = """
    import time
    import numpy as np
    from pipelines.data.build import build
    from pipelines.data.plan import IMAGES, Entry, Plan

    def row(entry):
        time.sleep(0.002)
        return {"key": entry.key, "label": 0, "image": np.random.default_rng(entry.origin).bytes(100)}

    entries = [Entry(str(i), 100, i) for i in range(120)]
    plan = Plan("s", ("l",), IMAGES, {"train": entries}, row, row_group_bytes=500, file_bytes=1500)
    begun.set()
    build(root, "numbers", 1, lambda: plan, workers=2)
"""


def contents(folder: Path) -> dict[str, str]:
    """File name -> hash of its bytes, without the lock."""
    files = [file for file in folder.iterdir() if file.name != ".lock"]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def finish(process: BaseProcess) -> None:
    process.join(60)
    assert process.exitcode == 0


def test_killed_at_random_and_repeated_gives_the_same_bytes(tmp_path: Path, background: Start) -> None:
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    finish(background(SLOW_PREPARATION, root=str(undisturbed)))
    for delay in (0.03, random.uniform(0, 0.2), random.uniform(0, 0.2), random.uniform(0, 0.2)):
        process = background(SLOW_PREPARATION, root=str(disturbed))
        time.sleep(delay)
        process.kill()
        process.join()
    finish(background(SLOW_PREPARATION, root=str(disturbed)))
    assert contents(disturbed / "numbers") == contents(undisturbed / "numbers")


def test_two_writers_at_once_give_the_bytes_of_one(tmp_path: Path, background: Start) -> None:
    finish(background(SLOW_PREPARATION, root=str(tmp_path / "alone")))
    for process in [background(SLOW_PREPARATION, root=str(tmp_path / "shared")) for _ in range(2)]:
        finish(process)
    assert contents(tmp_path / "shared" / "numbers") == contents(tmp_path / "alone" / "numbers")


def test_what_a_killed_writer_left_half_written_is_swept_away(numbers: Any) -> None:
    numbers.folder.mkdir()
    (numbers.folder / "train-00000-of-00005.parquet.0123.partial").write_bytes(b"half")
    numbers.prepare()
    assert not [name for name in contents(numbers.folder) if name.endswith(".partial")]


def test_what_a_writer_killed_at_its_very_last_step_left_is_swept_away_too(numbers: Any) -> None:
    """Everything is prepared by then, and only the copy under the partial name remains."""
    numbers.prepare()
    prepared = contents(numbers.folder)
    (numbers.folder / "manifest.json.0123.partial").write_bytes(b"half")
    assert numbers.prepare().already
    assert contents(numbers.folder) == prepared


def test_a_second_preparation_verifies_and_writes_nothing(numbers: Any) -> None:
    first = numbers.prepare()
    stamps = {file: file.stat().st_mtime_ns for file in numbers.folder.iterdir()}
    second = build.build(str(numbers.root), "numbers", 1, lambda: pytest.fail("nothing is to be planned"))
    assert (first.already, second.already) == (False, True)
    assert "already prepared and verified" in str(second)
    assert second.manifest == first.manifest
    assert {file: file.stat().st_mtime_ns for file in numbers.folder.iterdir()} == stamps


def test_only_the_damaged_file_is_written_again(numbers: Any) -> None:
    numbers.prepare()
    before = contents(numbers.folder)
    stamps = {file.name: file.stat().st_mtime_ns for file in numbers.folder.glob("*.parquet")}
    victim = numbers.folder / "train-00002-of-00005.parquet"
    damaged = bytearray(victim.read_bytes())
    damaged[60] ^= 1
    victim.write_bytes(damaged)
    assert not numbers.prepare().already
    assert contents(numbers.folder) == before
    rewritten = {f.name for f in numbers.folder.glob("*.parquet") if f.stat().st_mtime_ns != stamps[f.name]}
    assert rewritten == {victim.name}


def test_another_version_is_written_anew_and_the_old_shards_go(numbers: Any) -> None:
    old = set(contents(numbers.prepare() and numbers.folder))
    again = build.build(str(numbers.root), "numbers", 2, lambda: numbers.plan(20))
    assert again.manifest.split("train").rows == 20
    assert not again.already
    assert set(contents(numbers.folder)) & old == {"manifest.json"}


def test_every_example_is_stored_once_in_a_fixed_random_order(numbers: Any) -> None:
    numbers.prepare(100)
    batches = list(numbers.open().scan("train", batch_size=100))
    stored = batches[0].inputs[:, 0].int().tolist()
    assert sorted(stored) == list(range(100))
    # Neighbours of the source are 1 apart; in random order they are 33 apart on average.
    assert np.abs(np.diff(stored)).mean() > 20
    assert build.build(
        str(numbers.root / "b"), "numbers", 1, lambda: _reversed(numbers.plan(100))
    ).manifest == (numbers.prepare().manifest)


def test_row_groups_and_files_end_where_they_reach_their_size(numbers: Any) -> None:
    split = numbers.prepare(100, per_group=7, groups_per_file=3).manifest.split("train")
    assert [file.row_groups for file in split.files] == [(7, 7, 7)] * 4 + [(7, 7, 2)]


def test_keys_that_repeat_are_refused(numbers: Any) -> None:
    plan = numbers.plan(10)
    twice = {"train": [*plan.splits["train"], plan.splits["train"][3]]}
    with pytest.raises(DataError, match="key '00003' appears more than once in split 'train'"):
        build.build(str(numbers.root), "numbers", 1, lambda: replace(plan, splits=twice))


def test_a_source_that_cannot_be_read_names_the_example_and_keeps_what_is_done(numbers: Any) -> None:
    def row(entry: Any) -> dict[str, Any]:
        if entry.origin == 42:
            raise OSError("disk on fire")
        return {"key": entry.key, "label": 0, "payload": numbers.payload(entry.origin)}

    with pytest.raises(DataError, match="source of example 00042 cannot be read: disk on fire"):
        numbers.prepare(row=row)
    left = set(contents(numbers.folder))
    assert "manifest.json" not in left
    assert all(name.endswith(".parquet") for name in left)


def test_verification_names_the_file_and_the_row_group(numbers: Any) -> None:
    manifest = numbers.prepare().manifest
    directory = Directory.at(str(numbers.root), "numbers")
    victim = numbers.folder / "train-00001-of-00005.parquet"
    whole = victim.read_bytes()
    place = max(whole.index(numbers.payload(i)) for i in range(100) if numbers.payload(i) in whole)
    victim.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(CorruptShard, match=r"train-00001-of-00005.parquet, row group 2, is damaged"):
        build.verify(directory, manifest)


def test_progress_reaches_its_total(numbers: Any) -> None:
    seen: list[tuple[str, int, int]] = []
    plan = numbers.plan(100)
    for _ in range(2):
        build.build(str(numbers.root), "numbers", 1, lambda: plan, progress=lambda *each: seen.append(each))
    for what in ("write numbers", "verify numbers"):
        counts = [done for name, done, total in seen if name == what and total == 125]
        assert counts == sorted(counts)
        assert (counts[0], counts[-1]) == (0, 125)
        assert len(counts) > 5


def test_a_waiting_writer_goes_on_when_the_other_is_done(numbers: Any) -> None:
    directory = Directory.at(str(numbers.root), "numbers")
    done: list[bool] = []
    with directory.locked():
        waiting = threading.Thread(target=lambda: done.append(numbers.prepare().already))
        waiting.start()
        waiting.join(0.2)
        assert not done
        assert contents(numbers.folder) == {}
    waiting.join()
    assert done == [False]


def _reversed(plan: Any) -> Any:
    return replace(plan, splits={split: list(reversed(entries)) for split, entries in plan.splits.items()})

"""What `lab.Source` promises, on real shards of any shape: cut anywhere, read by any number of workers."""

import hashlib
import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import pipelines.data as shelf
from lab.spec import Batch, Shard
from pipelines.data import stream
from pipelines.data.build import build
from pipelines.data.order import Order
from pipelines.data.plan import Entry
from pipelines.data.stream import PADDING, Stream

WORLDS = (1, 2, 3, 8)

on_real_shards = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
sizes = st.lists(st.integers(1, 60), min_size=1, max_size=40)
"""What each example is taken to weigh where shards are cut: row groups of 1 to 30 examples."""


def stored(numbers: Any, weights: list[int], per_file: int) -> Stream:
    """A data set of as many numbers, in row groups of about 30 bytes."""
    shelf = replace(numbers, root=numbers.root / uuid.uuid4().hex)
    entries = [Entry(f"{index:05d}", weight, index) for index, weight in enumerate(weights)]
    plan = replace(numbers.plan(0), splits={"train": entries}, row_group_bytes=30, file_bytes=30 * per_file)
    build(str(shelf.root), "numbers", 1, lambda: plan)
    opened: Stream = shelf.open()
    return opened


def joined(parts: tuple[Batch, ...]) -> list[torch.Tensor]:
    return [torch.cat([getattr(p, f) for p in parts]) for f in ("inputs", "targets", "weights", "ids")]


@on_real_shards
@given(
    weights=sizes,
    per_file=st.integers(1, 5),
    batch_size=st.integers(1, 16),
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 100),
    shape=st.sampled_from([(64, 256), (4, 3), (2, 5)]),
)
def test_any_workers_resumed_anywhere_read_the_global_batches_of_one(
    numbers: Any,
    weights: list[int],
    per_file: int,
    batch_size: int,
    seed: int,
    epoch: int,
    shape: tuple[int, int],
) -> None:
    assume(len(weights) >= batch_size)
    source = stored(numbers, weights, per_file)
    lanes, window = shape
    with mock.patch.object(stream, "Order", partial(Order, most_lanes=lanes, window=window)):
        read = partial(source.batches, "train", batch_size=batch_size, seed=seed, epoch=epoch)
        whole = [joined((batch,)) for batch in read()]
        assert len(whole) == len(weights) // batch_size
        ids = [example for *_, batch in whole for example in batch.tolist()]
        assert len(ids) == len(set(ids)) == len(whole) * batch_size
        assert set(ids) <= set(range(len(weights)))
        for start in range(len(whole) + 1):
            world = WORLDS[start % len(WORLDS)]
            parts = [list(read(start=start, shard=Shard(rank, world))) for rank in range(world)]
            assert {len(part) for part in parts} == {len(whole) - start}
            for step, together in enumerate(zip(*parts, strict=True), start):
                assert all(map(torch.equal, joined(together), whole[step]))


@on_real_shards
@given(weights=sizes, per_file=st.integers(1, 5), batch_size=st.integers(1, 50), world=st.integers(1, 9))
def test_a_scan_by_any_workers_gives_every_example_once_in_equal_steps(
    numbers: Any, weights: list[int], per_file: int, batch_size: int, world: int
) -> None:
    source = stored(numbers, weights, per_file)
    parts = [list(source.scan("train", batch_size=batch_size, shard=Shard(r, world))) for r in range(world)]
    assert len({len(part) for part in parts}) == 1
    inputs, _, real, ids = joined(tuple(batch for part in parts for batch in part))
    assert sorted(ids[real == 1].tolist()) == list(range(len(weights)))
    assert sorted(inputs[real == 1, 0].tolist()) == list(range(len(weights)))
    assert set(real.tolist()) <= {0.0, 1.0}
    assert set(ids[real == 0].tolist()) <= {PADDING}


@on_real_shards
@given(weights=st.lists(st.integers(1, 60), min_size=16, max_size=40), seed=st.integers(0, 2**40))
def test_another_seed_and_another_epoch_are_another_order_of_the_same_examples(
    numbers: Any, weights: list[int], seed: int
) -> None:
    source = stored(numbers, weights, 3)
    read = partial(source.batches, "train", batch_size=1)
    orders = [
        [int(batch.ids) for batch in read(seed=s, epoch=e)]
        for s, e in ((seed, 0), (seed, 1), (seed + 1, 0), (seed, 0))
    ]
    assert orders[0] == orders[3]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == list(range(len(weights))) for order in orders)


READ_DIGITS = """
    import hashlib, json, pathlib
    from lab.spec import Shard
    from pipelines.data import Digits
    begun.set()
    seen = {}
    for rank in range(world):
        batches = Digits(shift=2).open(root).batches(
            "train", batch_size=96, seed=5, epoch=epoch, start=start, shard=Shard(rank, world))
        for step, batch in enumerate(batches, start):
            if step == stop:
                break
            for inputs, example in zip(batch.inputs, batch.ids.tolist()):
                digest = hashlib.sha256(inputs.numpy().tobytes()).hexdigest()
                seen.setdefault(step, []).append([example, digest])
    pathlib.Path(to).write_text(json.dumps(seen))
"""


def test_another_process_goes_on_where_one_stopped(
    tmp_path: Path, background: Callable[..., BaseProcess]
) -> None:
    """Two workers to step 7 of epoch 3, then three: together the epoch of one, to the last augmented bit."""
    root = str(tmp_path)
    shelf.prepare("digits", root)

    def read(name: str, **where: int) -> dict[str, list[list[Any]]]:
        to = tmp_path / name
        background(READ_DIGITS, root=root, to=str(to), epoch=3, **where).join(60)
        found: dict[str, list[list[Any]]] = json.loads(to.read_text())
        return found

    before, after = read("before", world=2, start=0, stop=7), read("after", world=3, start=7, stop=99)
    assert [*before, *after] == [str(step) for step in range(1197 // 96)]
    assert before | after == read("alone", world=1, start=0, stop=99)


class Broken:
    """Numbers of which some cannot be decoded."""

    name, columns = "numbers", ("label", "payload")

    def __init__(self, threads: int, fault: Exception) -> None:
        self.threads, self.fault = threads, fault

    def decode(self, row: Any, draws: Any) -> int:
        number = int.from_bytes(row["payload"][:4], "little")
        if number == 42:
            raise self.fault
        return number

    def collate(self, examples: Any) -> Any:
        return torch.tensor(examples), torch.zeros(len(examples))


@pytest.mark.parametrize("threads", [1, 3])
def test_an_example_that_cannot_be_decoded_is_named_with_its_file_and_row(numbers: Any, threads: int) -> None:
    """The row named is where the example is: checked by reading the file with pyarrow alone."""
    import pyarrow.parquet as pq

    from lab.errors import DataError

    numbers.prepare(100)
    for fault in (DataError("the picture is cut off."), ZeroDivisionError("in the decoder")):
        with pytest.raises(type(fault)) as raised:
            list(numbers.open(view=Broken(threads, fault)).batches("train", batch_size=10, seed=0, epoch=0))
        told = "\n".join([str(raised.value), *getattr(raised.value, "__notes__", [])])
        assert str(fault).rstrip(".") in told
        assert "example 00042: " in told
        words = told[told.index("example 00042: ") :].rstrip(").").removeprefix("example 00042: ")
        path, group, row = words.split(", ")
        table = pq.ParquetFile(path).read_row_group(int(group.removeprefix("row group ")))
        assert table.column("key")[int(row.removeprefix("row "))].as_py() == "00042"


def test_bytes_of_a_batch_do_not_depend_on_how_many_threads_decode(numbers: Any) -> None:
    numbers.prepare(100)

    def digest(threads: int) -> str:
        batches = numbers.open(threads=threads).batches("train", batch_size=10, seed=0, epoch=0)
        return hashlib.sha256(b"".join(np.asarray(batch.inputs).tobytes() for batch in batches)).hexdigest()

    assert len({digest(threads) for threads in (1, 2, 5)}) == 1

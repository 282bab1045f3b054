"""The reader keeps the promises of lab.Source: the same batches for any workers, any start, any threads."""

import gc
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from lab.errors import CorruptShard
from lab.spec import Batch, Shard, Source
from pipelines.data import reader, stream
from pipelines.data.counter import Draws
from pipelines.data.order import Order
from pipelines.data.prefetch import prefetched
from pipelines.data.reader import Reader

WORLDS = (1, 2, 3, 8)


@pytest.fixture(params=["one window", "lanes and windows"])
def shape(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both regimes of the order, on the same small data set."""
    if request.param == "lanes and windows":
        monkeypatch.setattr(stream, "Order", partial(Order, most_lanes=4, window=3))


def equal(left: Batch, right: Batch) -> bool:
    pairs = [(getattr(left, f), getattr(right, f)) for f in ("inputs", "targets", "weights", "ids")]
    return all(torch.equal(a, b) for a, b in pairs)


def joined(parts: list[Batch]) -> Batch:
    return Batch(
        *(torch.cat([getattr(p, f) for p in parts]) for f in ("inputs", "targets", "weights", "ids"))
    )


@pytest.mark.usefixtures("shape")
def test_workers_together_see_the_global_batches_from_every_start(numbers: Any) -> None:
    numbers.prepare(50)
    source = numbers.open()
    whole = list(source.batches("train", batch_size=8, seed=1, epoch=2))
    assert len(whole) == 50 // 8
    for world in WORLDS:
        for start in range(len(whole) + 1):
            readers = [
                list(
                    source.batches(
                        "train", batch_size=8, seed=1, epoch=2, start=start, shard=Shard(rank, world)
                    )
                )
                for rank in range(world)
            ]
            assert {len(reader) for reader in readers} == {len(whole) - start}
            for step, parts in enumerate(zip(*readers, strict=True), start):
                assert equal(joined(list(parts)), whole[step])


@pytest.mark.usefixtures("shape")
def test_ids_name_the_examples(numbers: Any) -> None:
    numbers.prepare(50)
    source = numbers.open()
    by_id = {}
    for batch in source.scan("train", batch_size=10):
        by_id |= dict(zip(batch.ids.tolist(), batch.inputs[:, 0].tolist(), strict=True))
    assert sorted(by_id) == list(range(50))
    for batch in source.batches("train", batch_size=7, seed=0, epoch=0):
        assert [by_id[i] for i in batch.ids.tolist()] == batch.inputs[:, 0].tolist()
        assert batch.targets.tolist() == [int(number) % 2 for number in batch.inputs[:, 0].tolist()]


def test_augmentation_depends_on_seed_epoch_and_example_alone(numbers: Any) -> None:
    numbers.prepare(50)
    source, threaded = numbers.open(), numbers.open(threads=3)
    drawn = {}
    for seed, epoch in ((0, 0), (0, 1), (1, 0)):
        for size in (7, 10):
            for batch in source.batches("train", batch_size=size, seed=seed, epoch=epoch):
                for example, draw in zip(batch.ids.tolist(), batch.inputs[:, 1].tolist(), strict=True):
                    assert drawn.setdefault((seed, epoch, example), draw) == draw
        plain = source.batches("train", batch_size=10, seed=seed, epoch=epoch)
        for one, other in zip(
            plain, threaded.batches("train", batch_size=10, seed=seed, epoch=epoch), strict=True
        ):
            assert equal(one, other)
    assert len(set(drawn.values())) == len(drawn)


def test_epochs_and_seeds_give_other_orders_of_the_same_split(numbers: Any) -> None:
    numbers.prepare(50)
    source = numbers.open()
    orders = [
        tuple(i for b in source.batches("train", batch_size=10, seed=s, epoch=e) for i in b.ids.tolist())
        for s, e in ((0, 0), (0, 1), (1, 0))
    ]
    assert len(set(orders)) == 3
    assert {tuple(sorted(each)) for each in orders} == {tuple(range(50))}


@pytest.mark.parametrize("examples", [50, 5])
def test_a_scan_gives_every_example_once_in_equal_steps(numbers: Any, examples: int) -> None:
    numbers.prepare(examples)
    source = numbers.open()
    for world in WORLDS:
        for size in (1, 8, 200):
            parts = [list(source.scan("train", batch_size=size, shard=Shard(r, world))) for r in range(world)]
            assert len({len(part) for part in parts}) == 1
            batches = [batch for part in parts for batch in part]
            assert len({len(batch.ids) for batch in batches}) == 1
            everything = joined(batches)
            real = everything.weights == 1
            assert sorted(everything.ids[real].tolist()) == list(range(examples))
            assert set(everything.weights[~real].tolist()) <= {0.0}
            assert set(everything.ids[~real].tolist()) <= {stream.PADDING}
            assert sorted(everything.inputs[real, 0].tolist()) == list(range(examples))


def test_a_scan_is_not_augmented(numbers: Any) -> None:
    numbers.prepare(20)
    assert all((batch.inputs[:, 1] == 0).all() for batch in numbers.open().scan("train", batch_size=6))


def test_single_examples_can_be_asked_for(numbers: Any) -> None:
    numbers.prepare(30)
    source = numbers.open()
    batch = next(iter(source.batches("train", batch_size=6, seed=4, epoch=5)))
    again = source.examples("train", batch.ids.numpy(), lambda example: Draws.of(4, 5, example))
    assert equal(batch, again)


def test_a_stream_is_a_source_and_names_its_bytes(numbers: Any) -> None:
    manifest = numbers.prepare(20).manifest
    assert isinstance(numbers.open(), Source)
    assert numbers.open().fingerprint == manifest.fingerprint
    assert (numbers.open().size("train"), numbers.open().size("test")) == (20, 5)


def test_a_corrupt_shard_reaches_the_consumer_by_name(numbers: Any) -> None:
    numbers.prepare(100)
    source = numbers.open()
    victim = numbers.folder / "train-00003-of-00005.parquet"
    whole = victim.read_bytes()
    place = next(whole.index(numbers.payload(i)) for i in range(100) if numbers.payload(i) in whole)
    victim.write_bytes(whole[:place] + b"\xff\xff" + whole[place + 2 :])
    with pytest.raises(CorruptShard, match=r"train-00003-of-00005.parquet, row group \d"):
        list(source.batches("train", batch_size=10, seed=0, epoch=0))


def test_a_fault_in_decoding_reaches_the_consumer(numbers: Any) -> None:
    class Broken(type(numbers.open.__globals__["Numbers"]())):  # type: ignore[misc]
        def decode(self, row: Any, draws: Any) -> Any:
            raise ZeroDivisionError("in the decoder")

    numbers.prepare(20)
    for threads in (1, 2):
        with pytest.raises(ZeroDivisionError, match="in the decoder"):
            next(iter(numbers.open(view=Broken(threads)).scan("train", batch_size=4)))


def test_a_reader_that_is_dropped_ends_its_threads(numbers: Any) -> None:
    numbers.prepare(100)
    before = threading.active_count()
    batches = numbers.open(threads=2).batches("train", batch_size=4, seed=0, epoch=0)
    next(batches)
    assert threading.active_count() > before
    del batches
    gc.collect()
    assert threading.active_count() == before


@pytest.mark.parametrize("fault", [SystemExit("enough"), KeyboardInterrupt(), MemoryError("no more")])
def test_whatever_ends_the_thread_that_makes_batches_is_raised_where_they_are_used(
    fault: BaseException,
) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise fault

    ahead = prefetched(items, 2)
    assert next(ahead) == 1
    with pytest.raises(type(fault)):
        next(ahead)
    assert threads_of_readers() == []


@pytest.mark.parametrize("taken", [1, 3])
def test_closing_early_ends_every_thread(numbers: Any, taken: int) -> None:
    numbers.prepare(200)
    source = numbers.open(threads=3)
    for batches in (
        source.batches("train", batch_size=4, seed=0, epoch=0),
        source.scan("train", batch_size=4),
    ):
        for _ in range(taken):
            next(batches)
        assert {name.partition("_")[0] for name in threads_of_readers()} == {"prefetch", "read", "decode"}
        batches.close()
        assert threads_of_readers() == []


def test_a_consumer_that_fails_leaves_no_thread(numbers: Any) -> None:
    numbers.prepare(200)

    def consume() -> None:
        for _ in numbers.open(threads=3).batches("train", batch_size=4, seed=0, epoch=0):
            raise RuntimeError("out of memory on the device")

    with pytest.raises(RuntimeError, match="on the device"):
        consume()
    gc.collect()
    assert threads_of_readers() == []


def test_no_more_files_are_open_than_a_process_may_open(
    numbers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 examples in 20 files of 2 row groups, of which 3 may be open."""
    numbers.prepare(200, per_group=5, groups_per_file=2)
    expected = [
        batch.ids.tolist() for batch in numbers.open().batches("train", batch_size=8, seed=0, epoch=0)
    ]
    files: list[int] = []
    read = Reader._read

    def watched(reader: Any, *arguments: Any) -> Any:
        files.append(sum("/numbers/train-" in name for name in open_files()))
        return read(reader, *arguments)

    monkeypatch.setattr(reader, "OPEN_FILES", 3)
    monkeypatch.setattr(Reader, "_read", watched)
    batches = numbers.open().batches("train", batch_size=8, seed=0, epoch=0)
    assert [batch.ids.tolist() for batch in batches] == expected
    assert 2 <= max(files) <= 3 + 2


def open_files() -> list[str]:
    """Other threads close some of them meanwhile."""
    names = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            names.append(str(link.readlink()))
    return names


def threads_of_readers() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith(("prefetch", "read", "decode"))]


def test_only_so_many_items_are_made_ahead() -> None:
    made: list[int] = []
    taken = threading.Semaphore(0)

    def items() -> Any:
        for number in range(100):
            made.append(number)
            taken.release()
            yield number

    ahead = prefetched(items, 3)
    assert next(ahead) == 0
    for _ in range(5):
        assert taken.acquire(timeout=5)
    # One was taken, three wait, and one is in the hands of the thread: a sixth is never started.
    assert not taken.acquire(timeout=0.3)
    assert made == [0, 1, 2, 3, 4]
    ahead.close()


def test_the_row_groups_in_memory_are_those_of_the_current_window(
    numbers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,000 examples in 286 row groups, 2 lanes with windows of 14: at most 2 x (14 / 7 + 1) are held, and 2
    that are read ahead with what the same batch needs more."""
    monkeypatch.setattr(stream, "Order", partial(Order, most_lanes=2, window=14))
    held: list[int] = []
    batch = Reader.batch

    def watched(reader: Any, *arguments: Any) -> Batch:
        held.append(len(reader._held))
        return batch(reader, *arguments)

    monkeypatch.setattr(Reader, "batch", watched)
    numbers.prepare(2000)
    assert len(list(numbers.open().batches("train", batch_size=4, seed=0, epoch=0))) == 500
    assert 2 <= max(held) <= 2 * (14 // 7 + 1) + 2 * (14 // 7 + 1)
    held.clear()
    list(numbers.open().scan("train", batch_size=10))
    assert max(held) <= 3 + 3

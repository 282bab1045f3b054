import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.spec import Shard
from pipelines.data import counter
from pipelines.data.order import Order

WORLDS = (1, 2, 3, 8)


@st.composite
def orders(draw: st.DrawFn) -> Order:
    """Splits of any shape, read with batches of any size: in one window, or in several lanes and windows."""
    row_groups = tuple(draw(st.lists(st.integers(1, 12), min_size=1, max_size=20)))
    lanes, window = draw(st.sampled_from([(64, 256), (4, 5), (2, 1), (1, 8), (8, 3)]))
    return Order(
        row_groups=row_groups,
        batch_size=draw(st.integers(1, sum(row_groups))),
        seed=draw(st.integers(0, 2**40)),
        epoch=draw(st.integers(0, 1000)),
        most_lanes=lanes,
        window=window,
    )


def sequence(order: Order) -> list[list[int]]:
    return [order.batch(step).tolist() for step in range(order.steps)]


def spelled_out(order: Order) -> list[list[int]]:
    """The epoch as the module's text describes it, with the whole sequence in hand and nothing clever."""

    def sorted_by_hash(items: list[int], key: int) -> list[int]:
        return sorted(items, key=lambda item: int(counter.hashes(key, np.array([item]))[0]))

    epoch = counter.key(order.seed, order.epoch)
    groups, first = [], 0
    for size in order.row_groups:
        groups.append(list(range(first, first + size)))
        first += size
    permuted = sorted_by_hash(list(range(len(groups))), counter.key(epoch, 0))
    ring = [example for group in permuted for example in groups[group]]
    cut = counter.key(epoch, 1) % len(ring)
    ring = ring[cut:] + ring[:cut]
    size, steps = order.batch_size, len(ring) // order.batch_size
    if len(ring) <= order.most_lanes * order.window:
        places = sorted_by_hash(list(range(len(ring))), counter.key(epoch, 2))
        return [[ring[place] for place in places[t * size : (t + 1) * size]] for t in range(steps)]
    lanes = math.gcd(size, order.most_lanes)
    length, share = steps * size // lanes, size // lanes
    shuffled: list[list[int]] = []
    for lane in range(lanes):
        places = list(range(lane * length, (lane + 1) * length))
        cuts = range(-(lane * order.window // lanes // share * share), length, order.window)
        windows = [places[max(low, 0) : low + order.window] for low in cuts]
        shuffled.append([p for window in windows for p in sorted_by_hash(window, counter.key(epoch, 2))])
    return [[ring[p] for lane in shuffled for p in lane[t * share : (t + 1) * share]] for t in range(steps)]


@settings(deadline=None)
@given(orders())
def test_the_order_is_the_one_that_is_described(order: Order) -> None:
    assert sequence(order) == spelled_out(order)


@settings(deadline=None)
@given(orders())
def test_an_epoch_holds_floor_n_over_b_batches_and_no_example_twice(order: Order) -> None:
    examples = sum(order.row_groups)
    batches = sequence(order)
    assert len(batches) == examples // order.batch_size
    assert {len(batch) for batch in batches} == {order.batch_size}
    seen = [example for batch in batches for example in batch]
    assert len(set(seen)) == len(seen) == examples // order.batch_size * order.batch_size
    assert set(seen) <= set(range(examples))


@settings(deadline=None)
@given(orders())
def test_any_number_of_workers_sees_the_same_global_batches_from_any_start(order: Order) -> None:
    batches = sequence(order)
    for world in WORLDS:
        for step in reversed(range(order.steps)):
            parts = [order.batch(step, Shard(rank, world)).tolist() for rank in range(world)]
            assert [example for part in parts for example in part] == batches[step]
            for rank, part in enumerate(parts):
                size = order.batch_size
                assert part == batches[step][rank * size // world : (rank + 1) * size // world]


@settings(deadline=None)
@given(orders())
def test_a_batch_is_drawn_from_the_row_groups_that_are_kept_for_it(order: Order) -> None:
    ends = np.cumsum(order.row_groups)
    for world in WORLDS:
        for rank in range(world):
            shard = Shard(rank, world)
            for step in range(order.steps):
                needed = np.searchsorted(ends, order.batch(step, shard), side="right")
                assert set(needed.tolist()) <= order.live(step, shard)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 100), st.sampled_from([(64, 256), (4, 5)]))
def test_other_seeds_and_other_epochs_give_other_orders(seed: int, shape: tuple[int, int]) -> None:
    order = Order((10,) * 12, 16, seed, 0, *shape)
    others = [replace(order, seed=seed + 1), replace(order, epoch=1), replace(order, epoch=2)]
    sequences = [sequence(each) for each in (order, *others)]
    assert all(sequences.count(each) == 1 for each in sequences)


def test_every_example_is_dropped_in_some_epoch_and_none_in_all() -> None:
    for shape in ((64, 256), (4, 5)):
        kept = [
            set(np.ravel(sequence(Order((10,) * 5, 40, 0, epoch, *shape))).tolist()) for epoch in range(60)
        ]
        assert set.union(*kept) == set(range(50))
        assert set.intersection(*kept) == set()


def test_a_small_split_is_permuted_uniformly() -> None:
    """Chi-squared of where example 0 lands in 2,000 epochs, 20 places: chance exceeds 43.8 once in 1,000."""
    places = [np.ravel(sequence(Order((8, 8, 4), 5, 7, epoch))).tolist().index(0) for epoch in range(2000)]
    counts = np.bincount(places, minlength=20)
    assert ((counts - 100) ** 2 / 100).sum() < 43.8


def test_a_large_split_asks_for_its_row_groups_one_after_the_other() -> None:
    """ImageNet in row groups of 64: each batch of 1,024 uses up 16 row groups, and 64 lanes that began new
    windows together would ask for 256 at once. (A lane's window meets one row group more than fill it.)"""
    order = Order((64,) * 20_018 + (15,), 1024, 0, 0)
    live = [order.live(step) for step in range(100, 180)]
    new = [len(after - before) for before, after in pairwise(live)]
    assert max(new) <= 4 * 5
    assert sum(new) / len(new) == pytest.approx(16, abs=1)
    assert max(map(len, live)) <= 64 * 5


def test_the_windows_of_a_large_split_need_few_of_its_row_groups() -> None:
    """ImageNet in row groups of 64: one of 8 workers keeps at most 8 lanes x (256 / 64 + 1) of 20,019."""
    order = Order((64,) * 20_018 + (15,), 1024, 0, 0)
    assert order.steps == 1251
    for step in (0, 600, 1250):
        assert len(order.live(step, Shard(3, 8))) <= 8 * 5
        assert len(set(order.batch(step).tolist())) == 1024

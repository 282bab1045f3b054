"""Which examples are in global batch t: a pure function, so that resuming and resharding need no state.

The order of one epoch is made without touching the data:

1. the row groups are permuted and laid end to end in a ring, which is cut at a random place;
2. the first steps x B examples are kept (those dropped differ from epoch to epoch), in L equal lanes;
3. inside each lane, windows of consecutive examples are shuffled; they end in one lane after the other, so
   that row groups are asked for one after the other and never all at once;
4. global batch t takes the next B / L examples from every lane.

A reader therefore holds the row groups of one window of its lanes, not the data set. A split that is no
larger than all windows together is one lane and one window: a uniform permutation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lab.spec import Shard
from pipelines.data import counter

Ids = NDArray[np.int64]

WHOLE = Shard()
"""The only worker."""

LANES = 64
"""Batches are drawn from this many places at once. A worker reads its own lanes only, up to 64 workers."""

WINDOW = 256
"""Examples shuffled together in a lane. On shards written in random order this already gives batches in
which the classes are mixed ideally; it costs LANES x WINDOW = 16,384 encoded examples of memory over all
workers (assumed)."""

_GROUPS, _CUT, _WINDOWS = range(3)


@dataclass(frozen=True)
class Order:
    """The order of one epoch of a split whose row groups hold `row_groups` examples.

    An id is the row of an example in its split, counted over the row groups as they are stored.
    """

    row_groups: tuple[int, ...]
    batch_size: int
    seed: int
    epoch: int
    most_lanes: int = LANES
    window: int = WINDOW

    @property
    def steps(self) -> int:
        """Global batches in the epoch: floor(examples / batch_size)."""
        return self._examples // self.batch_size

    def batch(self, step: int, shard: Shard = WHOLE) -> Ids:
        """The ids of this shard's slice [r*B//W, (r+1)*B//W) of global batch `step`. Costs the windows
        it touches.
        """
        start, stop = slice_of(self.batch_size, shard)
        if start == stop:
            return np.empty(0, np.int64)
        lanes = np.arange(start // self._share, -(-stop // self._share))
        first = lanes[0] * self._share
        ids = self._places_to_ids(self._shuffled(lanes, step * self._share, (step + 1) * self._share))
        return ids.reshape(-1)[start - first : stop - first]

    def live(self, step: int, shard: Shard = WHOLE) -> frozenset[int]:
        """The row groups that hold the windows `batch(step)` draws from: what is worth keeping in memory."""
        start, stop = slice_of(self.batch_size, shard)
        low, high = step * self._share, (step + 1) * self._share
        places = [
            np.arange(lane * self._lane_length + begin, lane * self._lane_length + end)
            for lane in range(start // self._share, -(-stop // self._share))
            for begin, end in self._windows(lane, low, high)
        ]
        groups, _ = self._locate(np.concatenate([np.empty(0, np.int64), *places]))
        return frozenset(np.unique(groups).tolist())

    @cached_property
    def _examples(self) -> int:
        return sum(self.row_groups)

    @cached_property
    def _whole(self) -> bool:
        return self._examples <= self.most_lanes * self.window

    @cached_property
    def _lanes(self) -> int:
        return 1 if self._whole else math.gcd(self.batch_size, self.most_lanes)

    @property
    def _share(self) -> int:
        """Examples each lane gives to a batch."""
        return self.batch_size // self._lanes

    @property
    def _lane_length(self) -> int:
        return self._examples if self._whole else self.steps * self._share

    @property
    def _width(self) -> int:
        return self._lane_length if self._whole else self.window

    @cached_property
    def _key(self) -> int:
        return counter.key(self.seed, self.epoch)

    @cached_property
    def _permuted(self) -> Ids:
        return counter.permutation(counter.key(self._key, _GROUPS), len(self.row_groups))

    @cached_property
    def _ends(self) -> Ids:
        """Where each permuted row group ends on the ring."""
        return np.cumsum(np.asarray(self.row_groups, np.int64)[self._permuted])

    @cached_property
    def _starts(self) -> Ids:
        """The first id of each stored row group."""
        return np.concatenate([[0], np.cumsum(np.asarray(self.row_groups, np.int64))[:-1]]).astype(np.int64)

    @cached_property
    def _cut(self) -> int:
        return counter.key(self._key, _CUT) % self._examples

    def _shuffled(self, lanes: Ids, low: int, high: int) -> Ids:
        """(lanes, high - low) places in the sequence, after shuffling inside windows."""
        return np.stack([self._shuffled_lane(lane, low, high) for lane in lanes.tolist()])

    def _shuffled_lane(self, lane: int, low: int, high: int) -> Ids:
        pieces = []
        for begin, end in self._windows(lane, low, high):
            places = lane * self._lane_length + np.arange(begin, end)
            drawn = np.argsort(counter.hashes(counter.key(self._key, _WINDOWS), places), kind="stable")
            pieces.append(places[drawn][max(low - begin, 0) : high - begin])
        return np.concatenate(pieces)

    def _windows(self, lane: int, low: int, high: int) -> Iterator[tuple[int, int]]:
        """[begin, end) of the windows of a lane that hold its examples [low, high)."""
        width, share = self._width, self._share
        # By whole shares: a batch that met two windows of a lane would need both in memory.
        ahead = lane * width // self._lanes // share * share
        for window in range((low + ahead) // width, -(-(high + ahead) // width)):
            yield max(window * width - ahead, 0), min((window + 1) * width - ahead, self._lane_length)

    def _places_to_ids(self, places: Ids) -> Ids:
        groups, rows = self._locate(places)
        return np.asarray(self._starts[groups] + rows)

    def _locate(self, places: Ids) -> tuple[Ids, Ids]:
        """The stored row group, and the row in it, at each place of the sequence."""
        ring = (places + self._cut) % self._examples
        slots = np.searchsorted(self._ends, ring, side="right")
        groups = self._permuted[slots]
        sizes = np.asarray(self.row_groups, np.int64)[groups]
        return groups, ring - (self._ends[slots] - sizes)


def slice_of(size: int, shard: Shard) -> tuple[int, int]:
    """[r*size//W, (r+1)*size//W): the part of `size` things that worker r of W takes."""
    return shard.rank * size // shard.world, (shard.rank + 1) * size // shard.world

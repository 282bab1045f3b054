"""The rows of one split as decoded batches: row groups are read ahead, several at a time, and held while
they are needed."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from threading import Lock
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from lab.errors import DataError
from lab.spec import Batch
from pipelines.data.counter import Draws
from pipelines.data.manifest import Manifest, Split
from pipelines.data.order import Ids
from pipelines.data.shards import Row, RowGroup, ShardReader
from pipelines.data.storage import Directory

T = TypeVar("T")

Groups = frozenset[int]
"""Row groups by their place in the split."""

LOOKAHEAD = 32
"""How many batches ahead row groups are looked for, at most."""

OPEN_FILES = 256
"""Shards that are open at once: a large data set has more than a process may open."""


class View(Protocol):
    """How stored rows become examples: what a data set adds to the reader."""

    @property
    def name(self) -> str: ...

    @property
    def columns(self) -> Sequence[str]:
        """The stored columns that `decode` needs; no others are read."""

    @property
    def threads(self) -> int:
        """Threads that decode at once: 1 where decoding costs less than handing it over."""

    def decode(self, row: Row, draws: Draws | None) -> Any:
        """One example from its row; augmented by these draws, or as evaluation sees it when there are
        none.
        """

    def collate(self, examples: Sequence[Any]) -> tuple[Tensor | dict[str, Tensor], Tensor]:
        """(inputs, targets) of zero or more decoded examples."""


class Reader:
    """The row groups of one split that are worth keeping in memory, and the threads that read and decode."""

    def __init__(self, directory: Directory, manifest: Manifest, split: Split, view: View) -> None:
        self._directory = directory
        self._schema = manifest.schema
        self._split = split
        self._view = view
        self._places = [(file, group) for file in split.files for group in range(len(file.row_groups))]
        self._starts = np.concatenate([[0], np.cumsum(np.asarray(split.row_groups, np.int64))])
        self._open: OrderedDict[str, ShardReader] = OrderedDict()
        self._opening = Lock()
        self._held: dict[int, Future[RowGroup]] = {}
        self._reads = ThreadPoolExecutor(directory.reads, thread_name_prefix="read")
        self._pool = (
            ThreadPoolExecutor(view.threads, thread_name_prefix="decode") if view.threads > 1 else None
        )

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in (self._pool, self._reads):
            if pool:
                pool.shutdown(cancel_futures=True)
        self._held.clear()
        self._open.clear()

    def groups_of(self, ids: Ids) -> Groups:
        return frozenset(np.unique(self._groups(ids)).tolist())

    def following(self, steps: Iterable[T], need: Callable[[T], Groups]) -> Iterator[T]:
        """The steps. What a step needs is being read when it comes, and so is what the steps behind it need,
        as far as `reads` others row groups reach. All others are forgotten.
        """
        needs = ((step, need(step)) for step in steps)
        coming = deque(islice(needs, 1))
        while coming:
            step, present = coming.popleft()
            behind = Groups()
            self._want(present)
            for each in coming:
                behind |= each[1] - present
            while len(behind) < self._directory.reads and len(coming) < LOOKAHEAD:
                more = next(needs, None)
                if more is None:
                    break
                coming.append(more)
                self._want(more[1])
                behind |= more[1] - present
            kept = present | behind
            self._held = {group: held for group, held in self._held.items() if group in kept}
            yield step

    def batch(self, ids: Ids, draw: Callable[[int], Draws] | None = None) -> Batch:
        """The decoded examples with these ids, in this order."""
        groups = self._groups(ids)
        self._want(np.unique(groups).tolist())
        places = zip(groups.tolist(), (ids - self._starts[groups]).tolist(), strict=True)
        rows = [(group, row, self._held[group].result()[row]) for group, row in places]
        draws = [draw(example) if draw else None for example in ids.tolist()]
        decoded = (self._pool.map if self._pool else map)(self._decoded, rows, draws)
        inputs, targets = self._view.collate(list(decoded))
        return Batch(inputs, targets, torch.ones(len(ids)), torch.from_numpy(ids.astype(np.int64)))

    def column(self, name: str) -> Iterator[Any]:
        """One column in stored order; nothing else is read."""
        for rows in self._reads.map(lambda group: self._read(group, [name]), range(len(self._places))):
            yield from (row[name] for row in rows)

    def _decoded(self, place: tuple[int, int, Row], draws: Draws | None) -> Any:
        group, index, row = place
        try:
            return self._view.decode(row, draws)
        except DataError as fault:
            raise DataError(f"{str(fault).rstrip('.')} ({self._named(group, index)}).") from None
        except Exception as fault:
            fault.add_note(f"while decoding {self._named(group, index)}")
            raise

    def _named(self, group: int, index: int) -> str:
        """An example as a person can find it."""
        file, within = self._places[group]
        key = self._read(group, ["key"])[index]["key"]
        return f"example {key}: {self._directory.file(file.name)}, row group {within}, row {index}"

    def _groups(self, ids: Ids) -> Ids:
        return np.searchsorted(self._starts, ids, side="right") - 1

    def _want(self, groups: Iterable[int]) -> None:
        for group in sorted(groups):
            if group not in self._held:
                self._held[group] = self._reads.submit(self._read, group, self._view.columns)

    def _read(self, group: int, columns: Sequence[str]) -> RowGroup:
        file, within = self._places[group]
        with self._opening:
            shard = self._open.pop(file.name, None) or ShardReader(self._directory, file, self._schema)
            self._open[file.name] = shard
            if len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)
        return shard.read(within, columns)

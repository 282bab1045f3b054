"""The rows of one split as decoded batches: row groups are read ahead, several at a time, and held while
they are needed."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from threading import Lock
from typing import Any, Protocol, TypeVar, runtime_checkable

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

Place = tuple[int, int, Row]
"""A row group, the row's place in it, and the row."""

Groups = frozenset[int]
"""Row groups by their place in the split."""

LOOKAHEAD = 32
"""How many batches ahead row groups are looked for, at most."""

PIECES = 16
"""Into which each thread's share of a batch is cut: to hand over rows one by one costs CPU time, a few large
pieces leave threads idle at the end."""

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


@runtime_checkable
class InPlace(Protocol):
    """A view whose examples need not be collated: each is decoded to where the batch has it. For images this
    saves the memory of a second batch, which comes from the system, zeroed, every time."""

    def empty(self, size: int) -> Tensor:
        """The inputs of so many examples, not filled."""

    def decode_into(self, row: Row, draws: Draws | None, slot: Tensor) -> int:
        """The label of a row; its example is put into one slot of `empty`."""


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
        inputs, targets = self._examples(rows, draws)
        return Batch(inputs, targets, torch.ones(len(ids)), torch.from_numpy(ids.astype(np.int64)))

    def column(self, name: str) -> Iterator[Any]:
        """One column in stored order; nothing else is read."""
        for rows in self._reads.map(lambda group: self._read(group, [name]), range(len(self._places))):
            yield from (row[name] for row in rows)

    def _examples(
        self, rows: Sequence[Place], draws: Sequence[Draws | None]
    ) -> tuple[Tensor | dict[str, Tensor], Tensor]:
        """Inputs and targets of these rows."""
        view = self._view
        if not isinstance(view, InPlace):
            return view.collate(self._each(view.decode, rows, draws))
        inputs = view.empty(len(rows))
        labels = self._each(view.decode_into, rows, draws, inputs)
        return inputs, torch.tensor(labels, dtype=torch.int64)

    def _each(self, make: Callable[..., T], rows: Sequence[Place], *how: Iterable[Any]) -> list[T]:
        """What `make` makes of each row, in the view's threads."""
        work = list(zip(rows, *how, strict=True))
        size = max(1, len(work) // (PIECES * self._view.threads))
        pieces = [work[at : at + size] for at in range(0, len(work), size)]

        def some(piece: Sequence[Any]) -> list[T]:
            return [self._made(make, *each) for each in piece]

        return list(chain.from_iterable((self._pool.map if self._pool else map)(some, pieces)))

    def _made(self, make: Callable[..., T], place: Place, *how: Any) -> T:
        group, index, row = place
        try:
            return make(row, *how)
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

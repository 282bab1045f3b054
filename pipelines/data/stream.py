"""Prepared shards as batches: in the global order, decoded ahead of the model, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from lab.errors import DataError
from lab.spec import Batch, Shard
from pipelines.data import counter
from pipelines.data import manifest as manifests
from pipelines.data.counter import Draws
from pipelines.data.images.mixing import Mixing
from pipelines.data.manifest import Manifest, Split
from pipelines.data.order import WHOLE, Ids, Order, slice_of
from pipelines.data.prefetch import prefetched
from pipelines.data.reader import Reader, View
from pipelines.data.storage import Directory

PADDING = -1
"""The id of an example that is there to fill a batch."""

_MIXING = 1
"""Beside the draws that decode an example there are those that mix it with another."""


@runtime_checkable
class Mixable(Protocol):
    """A view of images whose training batches may be mixed."""

    @property
    def mixing(self) -> Mixing | None: ...

    @property
    def num_classes(self) -> int: ...


class Stream:
    """An open data set: the `lab.Source` of every prepared data set.

    Memory does not grow with the data set. Held are the encoded row groups of the present shuffle windows of
    this shard's lanes (see `order`): at most lanes x (window / rows in a row group + 1), for ImageNet on one
    worker 64 x (256 / 64 + 1) = 320 of 6 MB; those that the next batches need, `Directory.reads` more or what
    one batch needs more; and `ahead` + 2 decoded batches. Each iterator reads for itself and starts one
    thread to make batches, `Directory.reads` to read and the view's to decode.
    """

    def __init__(self, directory: Directory, manifest: Manifest, view: View, *, ahead: int = 2) -> None:
        self.manifest = manifest
        self._directory = directory
        self._view = view
        self._ahead = ahead

    @classmethod
    def open(cls, root: str, view: View, version: int) -> Stream:
        """The prepared data set `root`/`view.name`. Raises MissingDataset, or DataError when files are
        not as listed.
        """
        directory = Directory.at(root, view.name)
        manifest = manifests.read(directory, version)
        manifests.check_sizes(directory, manifest)
        return cls(directory, manifest, view)

    @property
    def fingerprint(self) -> str:
        return self.manifest.fingerprint

    def size(self, split: str) -> int:
        return self.manifest.split(split).rows

    def batches(
        self, split: str, *, batch_size: int, seed: int, epoch: int, start: int = 0, shard: Shard = WHOLE
    ) -> Iterator[Batch]:
        """Augmented training batches: `lab.Source.batches`. Raises DataError when the split cannot fill
        one batch, and SpecError when the view mixes pairs of examples that would be torn apart.
        """
        stored = self.manifest.split(split)
        order = Order(stored.row_groups, batch_size, seed, epoch)
        if order.steps < 1:
            raise DataError(
                f"a batch of {batch_size:,} needs as many examples, {self.manifest.name} has {stored.rows:,} "
                f"in split {split!r}: set batch_size to {stored.rows:,} or less."
            )

        mix = self._mix(batch_size, seed, epoch, shard)

        def draw(example: int) -> Draws:
            return Draws.of(seed, epoch, example)

        def steps(reader: Reader) -> Iterator[Batch]:
            for step in reader.following(range(start, order.steps), lambda step: order.live(step, shard)):
                yield mix(reader.batch(order.batch(step, shard), draw))

        return self._ahead_of_time(stored, steps)

    def scan(self, split: str, *, batch_size: int, shard: Shard = WHOLE) -> Iterator[Batch]:
        """Every example once, as evaluation sees it: `lab.Source.scan`. `batch_size` counts over all shards.

        Shard r of W reads the rows [r*N//W, (r+1)*N//W), so that each row group is read by one shard or two.
        """
        stored = self.manifest.split(split)
        first, stop = slice_of(stored.rows, shard)
        width = -(-batch_size // shard.world)
        longest = -(-stored.rows // shard.world)

        def shown(low: int) -> Ids:
            ids = np.arange(min(first + low, stop), min(first + low + width, stop))
            # Of padding alone a batch is shaped like any other: only an example tells how.
            return ids if len(ids) else np.zeros(1, np.int64)

        def steps(reader: Reader) -> Iterator[Batch]:
            for low in reader.following(range(0, longest, width), lambda low: reader.groups_of(shown(low))):
                real = min(max(stop - first - low, 0), width)
                yield _padded(_first(reader.batch(shown(low)), real), width)

        return self._ahead_of_time(stored, steps)

    def examples(self, split: str, ids: Ids, draw: Callable[[int], Draws] | None = None) -> Batch:
        """The examples with these ids, augmented by the draws that belong to each, or as evaluation sees
        them.
        """
        with Reader(self._directory, self.manifest, self.manifest.split(split), self._view) as reader:
            return reader.batch(ids, draw)

    def labels(self, split: str) -> Iterator[int]:
        """The labels of a split in stored order, all of an example that has several; nothing else is read."""
        several = "labels" in self.manifest.schema
        with Reader(self._directory, self.manifest, self.manifest.split(split), self._view) as reader:
            for found in reader.column("labels" if several else "label"):
                yield from found if several else (found,)

    def _mix(self, batch_size: int, seed: int, epoch: int, shard: Shard) -> Callable[[Batch], Batch]:
        """What is done to this shard's slices of global batches after they are put together."""
        view = self._view
        if not isinstance(view, Mixable) or view.mixing is None:
            return lambda batch: batch
        view.mixing.require_pairs(batch_size, shard.world)
        return partial(
            view.mixing.mixed,
            classes=view.num_classes,
            first=slice_of(batch_size, shard)[0],
            draw=lambda example: Draws(counter.key(seed, epoch, example, _MIXING)),
        )

    def _ahead_of_time(self, split: Split, steps: Callable[[Reader], Iterator[Batch]]) -> Iterator[Batch]:
        def run() -> Iterator[Batch]:
            with Reader(self._directory, self.manifest, split, self._view) as reader:
                yield from steps(reader)

        return prefetched(run, self._ahead)


def _first(batch: Batch, size: int) -> Batch:
    """The first `size` examples of the batch."""
    inputs = batch.inputs
    kept = {name: part[:size] for name, part in inputs.items()} if isinstance(inputs, dict) else inputs[:size]
    return Batch(kept, batch.targets[:size], batch.weights[:size], batch.ids[:size])


def _padded(batch: Batch, size: int) -> Batch:
    """The batch with zeros behind its examples, up to `size`; their weight is 0 and their id PADDING."""
    missing = size - len(batch.ids)
    if not missing:
        return batch
    inputs: Tensor | dict[str, Tensor]
    if isinstance(batch.inputs, Mapping):
        inputs = {name: _extended(tensor, missing) for name, tensor in batch.inputs.items()}
    else:
        inputs = _extended(batch.inputs, missing)
    ids = torch.cat([batch.ids, batch.ids.new_full((missing,), PADDING)])
    return Batch(inputs, _extended(batch.targets, missing), _extended(batch.weights, missing), ids)


def _extended(tensor: Tensor, missing: int) -> Tensor:
    return torch.cat([tensor, tensor.new_zeros((missing, *tensor.shape[1:]))])

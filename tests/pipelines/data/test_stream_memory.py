"""Memory is that of the shuffle windows, whatever the size of the data set."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from pipelines.data import stream
from pipelines.data.build import build
from pipelines.data.order import Order
from pipelines.data.plan import Entry
from pipelines.data.stream import Stream

EXAMPLE, PER_GROUP, LANES, WINDOW = 4000, 8, 4, 16


@dataclass(frozen=True)
class Watching:
    """Notes, for every example that is decoded, how much Arrow holds then."""

    seen: list[int]
    threads: int = 1
    name: str = "numbers"
    columns: tuple[str, ...] = ("label", "payload")

    def decode(self, row: Any, draws: Any) -> int:
        self.seen.append(pa.total_allocated_bytes())
        return len(row["payload"])

    def collate(self, examples: Any) -> Any:
        return torch.tensor(examples), torch.zeros(len(examples))


def prepared(numbers: Any, examples: int) -> str:
    """A data set of that many examples of EXAMPLE bytes."""
    entries = [Entry(f"{index:05d}", EXAMPLE, index) for index in range(examples)]
    plan = replace(
        numbers.plan(0),
        splits={"train": entries},
        row=lambda entry: {"key": entry.key, "label": 0, "payload": numbers.payload(entry.origin) * 100},
        row_group_bytes=PER_GROUP * EXAMPLE,
        file_bytes=20 * PER_GROUP * EXAMPLE,
    )
    root = str(numbers.root / str(examples))
    build(root, "numbers", 1, lambda: plan)
    return root


def test_what_is_held_is_what_is_stated_and_does_not_grow_with_the_data_set(
    numbers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row groups of the windows of all lanes, and as many of the next batches as the docstring says."""
    monkeypatch.setattr(stream, "Order", partial(Order, most_lanes=LANES, window=WINDOW))
    windows = LANES * (WINDOW // PER_GROUP + 1)
    stated = (windows + windows) * PER_GROUP * (EXAMPLE + 100)
    most = {}
    for examples in (800, 3200):
        root = prepared(numbers, examples)
        for read in ("batches", "scan"):
            before, seen = pa.total_allocated_bytes(), list[int]()
            source = Stream.open(root, Watching(seen), version=1)
            options = {"seed": 0, "epoch": 0} if read == "batches" else {}
            for _ in getattr(source, read)("train", batch_size=8, **options):
                pass
            most[examples, read] = max(seen) - before
    assert stated < 800 * EXAMPLE / 2
    assert max(most.values()) <= stated
    assert most[3200, "batches"] <= 1.25 * most[800, "batches"]
    assert most[3200, "scan"] <= 1.25 * most[800, "scan"] + 2 * PER_GROUP * EXAMPLE


READ = """
    import json, pathlib, resource
    from functools import partial
    from pipelines.data import stream
    from pipelines.data.order import Order
    from pipelines.data.stream import Stream
    import torch

    class View:
        name, columns, threads = "numbers", ("label", "payload"), 2
        def decode(self, row, draws):
            return len(row["payload"])
        def collate(self, examples):
            return torch.tensor(examples), torch.zeros(len(examples))

    stream.Order = partial(Order, most_lanes=4, window=16)
    begun.set()
    for epoch in range(2):
        source = Stream.open(root, View(), version=1)
        for batch in source.batches("train", batch_size=64, seed=0, epoch=epoch):
            pass
    pathlib.Path(to).write_text(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
"""


@pytest.mark.slow
def test_a_process_that_reads_sixteen_times_as_much_is_hardly_larger(
    numbers: Any, tmp_path: Path, background: Callable[..., BaseProcess]
) -> None:
    """13 MB and 205 MB: the larger data set may cost 20 MB more, of row groups that the allocator keeps."""
    most = []
    for examples in (3200, 51_200):
        to = tmp_path / f"{examples}.json"
        background(READ, root=prepared(numbers, examples), to=str(to)).join(120)
        most.append(json.loads(to.read_text()))
    assert most[1] - most[0] < 20e6

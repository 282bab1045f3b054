"""A small data set of known bytes, prepared and read by the code every real one goes through."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipelines.data.build import Prepared, build
from pipelines.data.plan import Entry, Plan
from pipelines.data.stream import Stream

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("payload", pa.binary(), nullable=False),
    ]
)
SIZE = 40


def payload(index: int) -> bytes:
    """Example `index` as stored: its number, then noise that depends on it alone."""
    return index.to_bytes(4, "little") + np.random.default_rng(index).bytes(SIZE - 4)


def plan(examples: int, *, per_group: int = 7, groups_per_file: int = 3, row: Any = None) -> Plan:
    entries = [Entry(f"{index:05d}", SIZE, index) for index in range(examples)]
    return Plan(
        source="numbers",
        labels=("even", "odd"),
        schema=SCHEMA,
        splits={"train": entries, "test": entries[: examples // 4]},
        row=row
        or (lambda entry: {"key": entry.key, "label": entry.origin % 2, "payload": payload(entry.origin)}),
        row_group_bytes=per_group * SIZE,
        file_bytes=groups_per_file * per_group * SIZE,
    )


@dataclass(frozen=True)
class Numbers:
    """Inputs (b, 2): the number stored in an example, and one draw (0 without augmentation)."""

    threads: int = 1
    name: str = "numbers"
    columns: tuple[str, ...] = ("label", "payload")

    def decode(self, row: Any, draws: Any) -> tuple[int, float, int]:
        return int.from_bytes(row["payload"][:4], "little"), draws.uniform() if draws else 0.0, row["label"]

    def collate(self, examples: Sequence[tuple[int, float, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = torch.tensor([[float(number), draw] for number, draw, _ in examples]).reshape(-1, 2)
        return inputs, torch.tensor([label for *_, label in examples], dtype=torch.int64)


@dataclass(frozen=True)
class Shelf:
    """The numbers under one root: `prepare` and `open` them, and what their rows must be."""

    root: Path
    schema: pa.Schema = SCHEMA
    address: str = ""

    @property
    def folder(self) -> Path:
        return self.root / "numbers"

    def payload(self, index: int) -> bytes:
        return payload(index)

    def plan(self, examples: int, **options: Any) -> Plan:
        return plan(examples, **options)

    def prepare(self, examples: int = 100, **options: Any) -> Prepared:
        return build(str(self.root), "numbers", 1, lambda: plan(examples, **options))

    def open(self, *, threads: int = 1, view: Any = None) -> Stream:
        return Stream.open(self.address or str(self.root), view or Numbers(threads), version=1)


@pytest.fixture
def background(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., BaseProcess]]:
    """Starts a process of its own that runs a program with the given names set; ended with the test.

    It comes from a server that has everything imported, so that it begins at once.
    """
    monkeypatch.setenv("PYTHONPATH", "platform:.")
    monkeypatch.chdir(Path(__file__).parents[3])
    context = get_context("forkserver")
    context.set_forkserver_preload(["pipelines.data"])
    started: list[BaseProcess] = []

    def start(program: str, **names: Any) -> BaseProcess:
        begun = context.Event()
        process = context.Process(target=exec, args=(dedent(program), {"begun": begun, **names}))
        process.start()
        started.append(process)
        assert begun.wait(60)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


@pytest.fixture
def numbers(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)

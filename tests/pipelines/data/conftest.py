"""A small data set of known bytes, prepared and read by the code every real one goes through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
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

    def open(self, root: str) -> Stream:
        return Stream.open(root, self, version=1)


@pytest.fixture
def prepare_numbers(tmp_path: Path) -> Callable[..., Prepared]:
    def prepare(examples: int = 100, root: Path = tmp_path, **plan_options: Any) -> Prepared:
        return build(str(root), "numbers", 1, lambda: plan(examples, **plan_options))

    return prepare

"""The order of the exhibits: the paper's."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.tables.table import ResultsTable

PAPER = (
    "table1", "text_imagenet", "text_optimizers", "table2", "figure3", "table3", "table3b", "text_audioset",
    "table4", "text_modelnet40", "table5", "table6", "figure5", "figure6", "table7", "reruns",
)  # fmt: skip
"""Sections 4.1 to 4.3, appendices B and C, then what its authors printed later."""


def in_order(tables: Sequence[ResultsTable]) -> list[ResultsTable]:
    """As they stand in the paper; what is not of the paper comes last, in the order given."""
    place = {name: number for number, name in enumerate(PAPER)}
    return sorted(tables, key=lambda table: place.get(table.name, len(place)))

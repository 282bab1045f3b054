"""Exhibits of several panels, each a size swept around one base: Figures 5 and 6."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from lab import Ablation, codec
from lab.spec import Model
from pipelines.tables.paper import plotted
from pipelines.tables.plots import Panel, curves
from pipelines.tables.table import Column, ResultsTable, Row, count, measure

BASE = "base"
COLUMNS = (Column("top1", "Top-1"), Column("flops", "FLOPs"), Column("parameters", "Parameters"))


@dataclass(frozen=True)
class Swept:
    """One panel: the field swept and its path, what it is in words, the panel in the paper's values and its
    figure, the models by value, and the value that the base has.

    The labels of the sweep's cases begin with the field.
    """

    field: str
    path: str
    words: str
    printed: str
    figure: str
    models: Mapping[int, Model] | Mapping[float, Model]
    base: float

    def case(self, value: float) -> str:
        """The case of the sweep that has this value in the paper; the base is every panel's."""
        return BASE if value == self.base else f"{self.field} {value:g}"

    def here(self, sweep: Ablation) -> dict[float, float]:
        """The paper's value -> this scale's."""
        return {value: codec.flatten(sweep.case(self.case(value)).spec)[self.path] for value in self.values()}

    def labels(self, sweep: Ablation) -> dict[float, str]:
        """The paper's value -> its row: `latents 256`, and at another scale `latents 12 (paper: 256)`."""
        return {
            value: f"{self.words} {here:g}" + ("" if here == value else f" (paper: {value:g})")
            for value, here in self.here(sweep).items()
        }

    def values(self) -> list[float]:
        return [float(value) for value in self.models]

    def rows(self, sweep: Ablation) -> Iterator[Row]:
        """A row for each value: accuracy beside the paper's, FLOPs and parameters."""
        labels = self.labels(sweep)
        for value, model in self.models.items():
            case = self.case(value)
            yield Row(
                labels[value],
                (
                    measure(sweep, case, "test/top1", plotted(self.figure, self.printed, value)),
                    count(sweep, case, "FLOPs", model),
                    count(sweep, case, "parameters", model),
                ),
            )

    def drawn(self, filled: ResultsTable) -> list[Panel]:
        """Accuracy against the values, ours and where they are known the paper's.

        This scale's values are those in the rows' labels.
        """
        rows = dict(zip(self.values(), self.row_labels(filled), strict=True))
        ours = {value: float(self._number(label)) for value, label in rows.items()}
        panels = curves(filled, "top1", self.words, {self.words: rows}, ours)
        return [replace(panel, title=f"{self.words.capitalize()}. {panel.title}") for panel in panels]

    def row_labels(self, filled: ResultsTable) -> list[str]:
        """The panel's rows of a table."""
        return [row.label for row in filled.rows if self._is_mine(row.label)]

    def _is_mine(self, label: str) -> bool:
        return label.startswith(f"{self.words} ") and "," not in label

    def _number(self, label: str) -> str:
        return label.removeprefix(f"{self.words} ").partition(" ")[0]

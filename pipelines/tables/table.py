"""A table as a value: columns, rows of cells, and what the exhibit says about them.

An exhibit (`table2.py` ...) writes it with `measure` and `count`, every measured cell still missing; `fill`
gives the same table with what the record holds; `markdown`, `export` and `report` print it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from lab.errors import SpecError, UnknownName
from lab.spec import Model, Shape
from lab.sweep import Ablation
from pipelines.tables import statistics
from pipelines.tables.cell import (
    PAPER_SCALE,
    Cell,
    Counted,
    Measured,
    Measurement,
    Missing,
    Quantity,
    Stage,
    State,
    size,
)
from pipelines.tables.paper import Quoted
from pipelines.tables.select import Last, Selection

if TYPE_CHECKING:
    from pipelines.tables.claims import Claim

Place = tuple[str, str]
"""Row label and column key."""

Kind = Literal["quoted", "counted", "measured"]
"""What the cells of a column hold."""


@dataclass(frozen=True)
class Column:
    """`better` says which values win and may be bold; None where nothing wins."""

    key: str
    title: str
    better: Literal["higher", "lower"] | None = None


@dataclass(frozen=True)
class Row:
    """A label and one cell per column; None where the exhibit has nothing to say."""

    label: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class ResultsTable:
    """One exhibit at one scale."""

    name: str
    title: str
    caption: str
    sweep: str
    scale: str
    setting: str
    """what the numbers were measured on, in words"""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...] = ()
    notes: tuple[str, ...] = ()
    stands_for: str = "ImageNet"
    """the paper's data sets, which those of another scale stand in for"""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise SpecError(
                    f"{self.name}: row {row.label!r} needs {len(self.columns)} cells, has {len(row.cells)}."
                )

    @property
    def honesty(self) -> str:
        """What the numbers are, and what they are not."""
        where = f"{self.scale} scale: {self.setting}."
        return (
            where
            if size(self.scale) == PAPER_SCALE
            else f"{where} Does not stand in for the paper's {self.stands_for} numbers."
        )

    def cells(self) -> Iterator[tuple[Row, Column, Cell]]:
        """Every cell with its place, row by row."""
        for row in self.rows:
            for column, cell in zip(self.columns, row.cells, strict=True):
                if cell is not None:
                    yield row, column, cell

    def cell(self, label: str, key: str) -> Cell:
        """The cell at a place. Raises UnknownName."""
        for row, column, cell in self.cells():
            if (row.label, column.key) == (label, key):
                return cell
        raise UnknownName.among(
            f"cell in {self.name}", f"{label} / {key}", [f"{r.label} / {c.key}" for r, c, _ in self.cells()]
        )

    def find(self, label: str, key: str) -> Cell | None:
        """The cell at a place, None where the exhibit has nothing to say."""
        return next((c for row, column, c in self.cells() if (row.label, column.key) == (label, key)), None)

    def kinds(self) -> dict[str, Kind]:
        """Column key -> what its cells hold; a column of printed numbers and gaps is quoted."""
        return {column.key: self._kind(column) for column in self.columns}

    def _kind(self, column: Column) -> Kind:
        cells = [cell for _, other, cell in self.cells() if other is column]
        if any(isinstance(cell, Counted) for cell in cells):
            return "counted"
        return "measured" if any(isinstance(cell, Measured | Missing) for cell in cells) else "quoted"

    def commands(self) -> list[str]:
        """What fills the cells that lack seeds."""
        return sorted(
            {
                cell.measurement.command
                for _, _, cell in self.cells()
                if isinstance(cell, Measured | Missing) and cell.state.lacking
            }
        )

    def measurements(self) -> Iterator[Measurement]:
        """What the table asks of the record."""
        for _, _, cell in self.cells():
            if isinstance(cell, Measured | Missing):
                yield cell.measurement

    def replaced(self, change: Callable[[Cell], Cell]) -> ResultsTable:
        """The same table with every cell changed."""
        rows = tuple(replace(row, cells=tuple(c and change(c) for c in row.cells)) for row in self.rows)
        return replace(self, rows=rows)

    def winners(self) -> frozenset[Place]:
        """The cells not significantly worse than the best of their column: what is printed bold. A column
        that is not complete has none, since the best may be missing."""
        places: set[Place] = set()
        for column in self.columns:
            if column.better is None:
                continue
            measured = {
                row.label: cell
                for row, other, cell in self.cells()
                if other is column and isinstance(cell, Measured | Missing)
            }
            if any(cell.state.stage is not Stage.COMPLETE for cell in measured.values()):
                continue
            rows = {label: cell.by_seed for label, cell in measured.items() if isinstance(cell, Measured)}
            best = statistics.not_worse_than_best(rows, higher=column.better == "higher")
            places |= {(label, column.key) for label in best}
        return frozenset(places)


def measure(
    sweep: Ablation, case: str, metric: str, paper: Quoted | None = None, selection: Selection | None = None
) -> Missing:
    """The cell that asks the record for `metric` of a case over the sweep's seeds.

    Raises UnknownName for a case the sweep does not have, SpecError for a split it never measures.
    """
    specs = tuple(sweep.case(case).with_seed(seed) for seed in sweep.seeds)
    split = metric.partition("/")[0]
    for spec in specs[:1]:
        measured = (*spec.evaluation.splits, *spec.evaluation.at_end)
        if split not in measured:
            raise SpecError(
                f"{sweep.name}: {case!r} never measures {metric}: add {split!r} to evaluation.at_end."
            )
    return Missing(
        Measurement(sweep.name, sweep.scale, case, specs, metric, selection or Last()),
        State(Stage.MISSING, 0, len(specs)),
        paper,
    )


def count(
    sweep: Ablation, case: str, quantity: Quantity, paper_model: Model, paper: Quoted | None = None
) -> Counted:
    """The cell that counts a case's model and the paper's. Raises UnknownName for a case not there."""
    models: Sequence[Model] = (sweep.case(case).spec.model, paper_model)
    ours, theirs = (model.parameters() if quantity == "parameters" else model.flops() for model in models)
    if size(sweep.scale) == PAPER_SCALE:
        # Another reading of the paper may count another number than the one printed.
        theirs = ours
    return Counted(quantity, sweep.scale, ours, theirs, paper)


def setting(sweep: Ablation) -> str:
    """What a sweep's numbers are measured on: `digits, 8 × 8 × 1 inputs, 10 classes`. Of cases that are given
    different parts of a data set, the data set alone: `eventclips, 8 classes`."""
    shapes: dict[str, set[str]] = {}
    classes = {case.spec.data.name: case.spec.data.num_classes for case in sweep.cases}
    for case in sweep.cases:
        shapes.setdefault(case.spec.data.name, set()).add(_size(case.spec.data.input_shape))
    return "; ".join(
        ", ".join(
            (name, *(f"{size} inputs" for size in sizes if len(sizes) == 1), f"{classes[name]} classes")
        )
        for name, sizes in shapes.items()
    )


def _size(shape: Shape) -> str:
    if isinstance(shape, tuple):
        return " × ".join(map(str, shape))
    return ", ".join(f"{name} {' × '.join(map(str, part))}" for name, part in shape.items())

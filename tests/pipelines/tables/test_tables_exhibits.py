"""Tables 5 to 7 count what the paper prints, and every exhibit agrees with its sweep."""

from __future__ import annotations

import pytest

from pipelines.tables.build import exhibits
from pipelines.tables.cell import Counted, Measured, Missing


def counted(laboratory, name: str) -> list[tuple[str, Counted]]:
    table = exhibits()[name].table(laboratory.sweep(name))
    return [(row.label, cell) for row, _, cell in table.cells() if isinstance(cell, Counted)]


@pytest.mark.parametrize(("name", "cells"), [("table5", 6), ("table6", 16), ("table7", 4)])
def test_counted_columns_equal_the_printed_digits_but_for_the_one_misprint(
    laboratory, name: str, cells: int
) -> None:
    found = counted(laboratory, name)
    assert len(found) == cells
    differing = [(label, cell.quantity, cell.verdict) for label, cell in found if cell.verdict != "exact"]
    assert differing == ([("1 at start", "parameters", "counts 42.1M")] if name == "table6" else [])


@pytest.mark.parametrize("name", ["table2", "table5", "table6", "table7"])
@pytest.mark.parametrize("scale", ["laptop", "paper"])
def test_every_exhibit_finds_its_cases_in_its_sweep(name: str, scale: str) -> None:
    ablations = pytest.importorskip(f"sweeps.ablations.{name}", exc_type=ImportError)
    scales = pytest.importorskip("sweeps.scales", exc_type=ImportError)
    exhibit = exhibits()[name]
    sweep = ablations.sweep(getattr(scales, scale))
    assert exhibit.sweep == sweep.name
    table = exhibit.table(sweep)
    asked = {cell.measurement.case for _, _, cell in table.cells() if isinstance(cell, Measured | Missing)}
    assert asked == {case.label for case in sweep.cases}


@pytest.mark.parametrize("name", ["table2", "table5", "table6", "table7"])
def test_every_claim_and_every_figure_names_cells_that_exist(laboratory, name: str) -> None:
    exhibit = exhibits()[name]
    table = exhibit.table(laboratory.sweep(name))
    assert table.claims
    for claim in table.claims:
        for _, place in claim.contrast:
            assert table.cell(*place)
    (paper,) = exhibit.plot(table)
    assert paper.title == "The paper: ImageNet"


def test_at_paper_scale_our_own_count_is_the_papers() -> None:
    scales = pytest.importorskip("sweeps.scales", exc_type=ImportError)
    for name in ("table5", "table6", "table7"):
        ablation = pytest.importorskip(f"sweeps.ablations.{name}", exc_type=ImportError)
        table = exhibits()[name].table(ablation.sweep(scales.paper))
        cells = [cell for _, _, cell in table.cells() if isinstance(cell, Counted)]
        assert [cell.value for cell in cells] == [cell.at_paper_scale for cell in cells]

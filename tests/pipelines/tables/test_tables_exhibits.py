"""Tables 5 to 7 count what the paper prints, and every exhibit agrees with its sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import Ablation, catalog
from pipelines.tables import paper
from pipelines.tables.build import exhibits
from pipelines.tables.cell import Counted, Measured, Missing
from pipelines.tables.table import ResultsTable


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


NAMES = sorted(exhibits())
SILENT = ("text_audioset", "text_imagenet", "text_modelnet40", "text_optimizers", "figure6", "reruns")
"""Exhibits without a value of the paper's that could be drawn."""


def stated(name: str, scale: str) -> tuple[Ablation, ResultsTable]:
    sweep = catalog.sweep(exhibits()[name].sweep, scale)
    assert isinstance(sweep, Ablation)
    return sweep, exhibits()[name].table(sweep)


def test_every_exhibit_of_the_paper_is_there() -> None:
    numbered = {f"table{n}" for n in range(1, 8)}
    assert numbered | {"table3b", "figure3", "figure5", "figure6", "reruns"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", ["laptop", "paper"])
def test_every_exhibit_finds_its_cases_in_its_sweep(name: str, scale: str) -> None:
    sweep, table = stated(name, scale)
    asked = {cell.measurement.case for _, _, cell in table.cells() if isinstance(cell, Measured | Missing)}
    assert asked == {case.label for case in sweep.cases}
    places = [(row.label, column.key) for row, column, _ in table.cells()]
    assert len(places) == len(set(places))


@pytest.mark.parametrize("name", NAMES)
def test_every_claim_and_every_figure_names_cells_that_exist(name: str) -> None:
    _, table = stated(name, "laptop")
    for claim in table.claims:
        for _, place in claim.contrast:
            assert table.cell(*place)
    drawn = exhibits()[name].plot(table)
    assert all("The paper: " in panel.title for panel in drawn)
    assert bool(drawn) == (name not in (*SILENT, "figure3"))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"reruns", "figure3"}))
def test_every_exhibit_that_compares_says_what_the_paper_claims(name: str) -> None:
    assert stated(name, "laptop")[1].claims


PRINTED = {
    "table1": ("T1", "top1", "top1", 6),
    "table4": ("T4", "best", "top1", 8),
    "table3b": ("T3b", "map", "av_map", 5),
}


@pytest.mark.parametrize("name", PRINTED)
def test_a_table_shows_every_printed_number_in_its_order(name: str) -> None:
    identity, key, column, rows = PRINTED[name]
    printed = paper.load().table(identity)
    values = [row[printed.columns.index(column)] for row in printed.rows]
    shown = [cell.paper.value for _, c, cell in stated(name, "paper")[1].cells() if c.key == key]
    assert shown == values
    assert len(shown) == rows


def test_table_3_shows_every_printed_number_and_no_other() -> None:
    printed = paper.load().table("T3")
    _, table = stated("table3", "paper")
    for row in printed.rows:
        cells = dict(zip(printed.columns, row, strict=True))
        for key in ("audio", "video", "audio_video"):
            cell = table.find(cells["model"], key)
            value = None if cell is None else (cell if isinstance(cell, paper.Quoted) else cell.paper).value
            assert value == cells[key]


def test_the_literature_is_quoted_with_its_source_where_nothing_measures_it() -> None:
    _, table = stated("table3", "paper")
    cell = table.cell("G-blend (Wang et al., 2020c)", "audio_video")
    assert isinstance(cell, paper.Quoted)
    assert (cell.value, cell.where, cell.sources) == (
        41.8,
        "Table 3",
        ("v2md", "slides", "slidetext", "ledger"),
    )


def test_the_paper_s_rule_for_modelnet40_is_told_to_be_biased_and_stands_beside_the_last_value() -> None:
    _, table = stated("table4", "paper")
    best, last = (table.cell("Perceiver", key) for key in ("best", "last"))
    assert "biased upwards" in best.measurement.selection.caveat
    assert not last.measurement.selection.caveat
    assert last.paper is None


def derived() -> dict[str, Any]:
    """What docs/paper.md computes and the paper does not print."""
    text = Path(paper.__file__).with_name("paper.yaml").read_text(encoding="utf-8")
    counts: dict[str, Any] = yaml.safe_load(text)["derived_counts"]
    return counts


def test_figure_5_counts_what_the_formula_gave_elsewhere() -> None:
    counts = derived()
    expected = {"latents 512": [counts["f5_base"]["params"], 99.99]}
    expected |= {f"latents {n}": both for n, both in counts["f5_latent_index"].items()}
    expected |= {f"latent channels {n}": both for n, both in counts["f5_latent_channel"].items()}
    expected |= {f"self-attends per block {n}": both for n, both in counts["f5_self_per_block"].items()}
    expected |= {f"cross-attends {n}": both for n, both in counts["f5_cross_if_each_brings_a_block"].items()}
    _, table = stated("figure5", "paper")
    for label, (parameters, gflop) in expected.items():
        assert table.cell(label, "parameters").value == parameters
        assert table.cell(label, "flops").value / 1e9 == pytest.approx(gflop, abs=0.006)


def test_a_value_read_off_a_plot_and_one_not_recovered_say_so() -> None:
    _, five = stated("figure5", "laptop")
    read_off = five.cell("latents 12 (paper: 256)", "top1").paper
    assert (read_off.text, read_off.status, read_off.value) == ("≈ 68.0", "digitised", 68.0)
    _, six = stated("figure6", "laptop")
    missing = six.cell("bands 8 (paper: 64)", "top1").paper
    assert (missing.text, missing.status, missing.value) == ("not recovered", "missing", None)


def test_the_later_runs_count_what_is_printed_but_for_the_learned_positions_which_are_others() -> None:
    _, table = stated("reruns", "paper")
    verdicts = {
        (row.label, cell.quantity): cell.verdict
        for row, _, cell in table.cells()
        if isinstance(cell, Counted)
    }
    learned = "ImageNet, learned positions"
    assert {verdicts.pop((learned, "FLOPs")), verdicts.pop((learned, "parameters"))} == {
        "counts 380B",
        "counts 48.2M",
    }
    assert set(verdicts.values()) == {"exact"}


def test_at_paper_scale_our_own_count_is_the_papers() -> None:
    scales = pytest.importorskip("sweeps.scales", exc_type=ImportError)
    for name in ("table5", "table6", "table7"):
        ablation = pytest.importorskip(f"sweeps.ablations.{name}", exc_type=ImportError)
        table = exhibits()[name].table(ablation.sweep(scales.paper))
        cells = [cell for _, _, cell in table.cells() if isinstance(cell, Counted)]
        assert [cell.value for cell in cells] == [cell.at_paper_scale for cell in cells]

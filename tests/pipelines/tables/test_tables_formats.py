"""What is written: every format parses, shows every state, and stays the same to the byte."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from itertools import count as counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.errors import SpecError, UnknownName
from lab.tracking.tracker import Status
from pipelines.tables import assemble, build, render
from pipelines.tables.build import exhibits
from pipelines.tables.export import FIELDS

GOLDEN = Path(__file__).parents[2] / "golden" / "tables"
NAMES = ("table2", "table5", "table6", "table7")
FORMATS = ("text", "md", "tex", "csv", "json", "html")


@pytest.fixture
def half_done(laboratory, monkeypatch):
    """Table 6 in every state, with run ids that can be printed in a golden file."""
    numbers = counter(1)
    monkeypatch.setattr("lab.tracking.memory.uuid4", lambda: SimpleNamespace(hex=f"run{next(numbers):03d}"))
    monkeypatch.setattr("lab.tracking.memory.time.time", lambda: 0.0)
    sweep = laboratory.sweep("table6")
    laboratory.fill_case(sweep, "1 at start", [0.955, 0.961, 0.958])
    laboratory.fill_case(sweep, "1 interleaved", [0.955, 0.961, 0.958])
    laboratory.fill_case(sweep, "2 at start", [0.401, 0.398, 0.405])
    for seed in sweep.seeds:
        laboratory.run(sweep, "2 interleaved", seed, 0.97, tags={"dirty": "true"})
    laboratory.run(sweep, "4 at start", 0, 0.95)
    laboratory.run(sweep, "4 at start", 1, 0.2, status=Status.FAILED)
    laboratory.run(sweep, "8 interleaved", 0, 0.96)
    laboratory.run(sweep, "8 interleaved", 1, 0.5, status=Status.RUNNING)
    return sweep


def rows_of(markdown: str) -> list[list[str]]:
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_the_terminal_s_columns_line_up_and_hold_what_markdown_holds(laboratory, half_done) -> None:
    tables = assemble(["table6"], laboratory.tracker, {"table6": half_done})
    ruled = render(tables, "text").split("\n\n")[1].splitlines()
    head, *body = [line for line in ruled if not line.startswith("─")]
    assert len({len(line) for line in ruled if line.startswith("─")} | {max(map(len, [head, *body]))}) == 1
    expected = [row for row in rows_of(render(tables, "md")) if row[-1] != "---:"]
    for line, cells in zip([head, *body], expected, strict=True):
        shown = [part.removesuffix(" *") for part in re.split(r" {3,}", line.strip())]
        assert shown == [cell.replace("**", "") for cell in cells if cell]


@pytest.mark.parametrize("form", ["md", "csv", "json"])
def test_table6_half_done_is_printed_as_it_was(laboratory, half_done, form: str) -> None:
    """Refresh with `UPDATE_GOLDEN=1 python -m pytest tests/pipelines/tables`, then read the difference."""
    text = render(assemble(["table6"], laboratory.tracker, {"table6": half_done}), form)  # type: ignore[arg-type]
    golden = GOLDEN / f"table6.{form}"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_every_row_of_the_markdown_has_as_many_cells_as_its_head(laboratory) -> None:
    sweeps = {name: laboratory.sweep(name) for name in NAMES}
    for table in assemble(NAMES, laboratory.tracker, sweeps):
        rows = rows_of(render([table], "md"))
        assert len(rows) == len(table.rows) + 2
        assert {len(row) for row in rows} == {len(rows[0])}


def test_the_markdown_shows_the_state_of_every_cell_that_is_not_complete(laboratory, half_done) -> None:
    text = render(assemble(["table6"], laboratory.tracker, {"table6": half_done}), "md")
    ours = {row[0]: row[1] for row in rows_of(text)[2:]}
    assert ours["1 at start"] == "95.8 ± 0.7 · n=3", "no winner while rows are missing"
    assert ours["2 at start"] == "40.1 ± 0.9 · n=3"
    assert ours["2 interleaved"] == "97.0 ± 0.0 · n=3 · tainted"
    assert ours["4 at start"] == "95.0 · n=1 · incomplete 1/3"
    assert ours["8 interleaved"] == "96.0 · n=1 · running 1/3"
    assert ours["8 at start"] == "queued"


def test_the_counted_columns_stand_between_ours_and_the_printed_ones(laboratory) -> None:
    (table,) = assemble(["table6"], laboratory.tracker, {"table6": laboratory.sweep("table6")})
    rows = {row[0]: row for row in rows_of(render([table], "md"))}
    assert rows["8 interleaved"][4:6] == ["707.2B", "707.2B"]
    assert rows["8 interleaved"][7:9] == ["44.9M", "44.9M"]
    assert rows["1 at start"][7:9] == ["42.1M", "41.1M†"]


def test_the_csv_has_one_line_per_cell_and_the_fields_it_says(laboratory, half_done) -> None:
    tables = assemble(["table6"], laboratory.tracker, {"table6": half_done})
    lines = list(csv.DictReader(io.StringIO(render(tables, "csv"))))
    assert len(lines) == len(list(tables[0].cells()))
    assert tuple(lines[0]) == FIELDS
    assert {line["scale"] for line in lines} == {"laptop"}
    first = lines[0]
    assert (first["row"], first["column"], first["n"], first["paper"]) == ("1 at start", "top1", "3", "76.7")
    assert first["run_ids"].split() == ["run002", "run003", "run004"]


def test_the_json_holds_state_value_interval_n_paper_and_runs_of_every_cell(laboratory, half_done) -> None:
    text = render(assemble(["table6"], laboratory.tracker, {"table6": half_done}), "json")
    (table,) = json.loads(text)["tables"]
    by_place = {(cell["row"], cell["column"]): cell for cell in table["cells"]}
    complete = by_place["1 at start", "top1"]
    assert complete["value"] == pytest.approx(95.8)
    assert complete["low"] < 95.8 < complete["high"]
    assert (complete["state"], complete["n"], complete["paper"]["value"]) == ("complete", 3, 76.7)
    assert [run["run_id"] for run in complete["runs"]] == ["run002", "run003", "run004"]
    missing = by_place["8 at start", "top1"]
    assert (missing["state"], missing["value"], missing["runs"]) == ("queued", None, [])
    assert missing["command"] == "lab sweep table6 --scale laptop"
    assert by_place["1 at start", "parameters"]["at_paper_scale"] == 42_135_859
    assert len({frozenset(cell) for cell in table["cells"]}) == 1


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_says_the_state_of_a_cell_that_is_no_result(laboratory, half_done, form: str) -> None:
    laboratory.run(laboratory.sweep("table6", changes={"batch_size": 8}), "4 interleaved", 0, 0.5)
    sweeps = {"table6": half_done}
    queued = render(assemble(["table6"], laboratory.tracker, sweeps), form)  # type: ignore[arg-type]
    laboratory.close(half_done)
    text = queued + render(assemble(["table6"], laboratory.tracker, sweeps), form)  # type: ignore[arg-type]
    for state in ("queued", "running 1/3", "incomplete 1/3", "stale", "tainted", "missing"):
        assert state in text, f"{form} hides {state}"
    for reason in ("batch_size", "uncommitted changes", "seed 1 failed"):
        assert reason in text.replace("\\_", "_"), f"{form} hides why: {reason}"
    assert "lab sweep table6 --scale laptop" in text
    if form not in {"csv", "json"}:
        assert "--anew" in text, f"{form} does not say how a tainted cell is made again"


@pytest.mark.parametrize("form", FORMATS)
def test_two_builds_of_one_record_are_the_same_bytes(
    laboratory, half_done, form: str, tmp_path: Path
) -> None:
    sweeps = {"table6": half_done, "table2": laboratory.sweep("table2")}
    one = build(["table2", "table6"], laboratory.tracker, sweeps, form, tmp_path / "one")  # type: ignore[arg-type]
    two = build(["table2", "table6"], laboratory.tracker, sweeps, form, tmp_path / "two")  # type: ignore[arg-type]
    assert [path.name for path in one] == [path.name for path in two]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_html_is_one_page_and_the_others_one_file_per_exhibit(laboratory, tmp_path: Path) -> None:
    sweeps = {name: laboratory.sweep(name) for name in NAMES}
    pages = build(NAMES, laboratory.tracker, sweeps, "html", tmp_path)
    assert [page.name for page in pages] == ["report.html"]
    assert [p.name for p in build(NAMES, laboratory.tracker, sweeps, "md", tmp_path)] == [
        f"{n}.md" for n in NAMES
    ]


def test_a_paper_scale_table_does_not_apologise(laboratory) -> None:
    texts = {
        scale: render(
            assemble(["table7"], laboratory.tracker, {"table7": laboratory.sweep("table7", scale=scale)}),
            "md",
        )
        for scale in ("laptop", "paper")
    }
    assert "Does not stand in for the paper's ImageNet numbers" in texts["laptop"]
    assert "Does not stand in" not in texts["paper"]


def test_an_unknown_exhibit_or_sweep_or_format_is_answered_with_the_way_out(laboratory) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'table6'"):
        assemble(["table66"], laboratory.tracker, {})
    with pytest.raises(UnknownName, match="no ablation for table6 'table6'"):
        assemble(["table6"], laboratory.tracker, {})
    with pytest.raises(SpecError, match="must be one of text, md, tex, csv, json, html, got 'xml'"):
        render([], "xml")  # type: ignore[arg-type]


def test_every_module_with_a_sweep_is_an_exhibit() -> None:
    assert set(exhibits()) >= set(NAMES)

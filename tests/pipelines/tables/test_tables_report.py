"""The page: well-formed, self-contained, honest, and safe against what stands in the record."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from lab import Epochs, Search, Steps
from lab.commands.plan import scaled
from lab.commands.tables import keep
from lab.tracking.tracker import Scalar, Status, membership
from pipelines.data import Digits
from pipelines.tables import assemble, build, render, searched
from pipelines.tables.export import data
from pipelines.tables.fill import Record
from pipelines.tables.report.checklist import checklist
from pipelines.tables.report.costs import costs
from pipelines.tables.report.curves import MOST_POINTS, drawn, thinned
from tests.pipelines.tables.reading import Page


@pytest.fixture
def page_text(laboratory) -> str:
    sweeps = {name: laboratory.sweep(name) for name in ("table2", "table6", "table7")}
    for case in sweeps["table6"].cases[:-1]:
        laboratory.fill_case(sweeps["table6"], case.label, [0.9, 0.91, 0.92])
    laboratory.run(sweeps["table6"], "8 interleaved", 0, 0.93)
    return render(assemble(list(sweeps), laboratory.tracker, sweeps), "html", tracker=laboratory.tracker)


def test_every_tag_closes_and_every_id_is_unique(page_text: str) -> None:
    page = Page(page_text)
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    references = [a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a]
    assert set(references) <= set(ids)
    assert {a["href"] for a in page.all("a")} <= {f"#{identity}" for identity in ids}


def test_nothing_is_fetched_and_no_script_runs(page_text: str) -> None:
    page = Page(page_text)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not any(name in attributes for name in ("src", "srcset", "data", "onclick", "style"))
    assert not re.search(r"@import|url\((?!#)", page_text)


def test_every_cell_is_a_button_that_opens_its_own_sheet_and_no_other(page_text: str) -> None:
    page = Page(page_text)
    measured, counted, quoted = 12 + 8 + 4, 2 * 8 + 2 * 2, 5
    opens = page.classed("open")
    assert len(opens) == measured + counted + quoted
    assert all(attributes.get("aria-label") for attributes in opens)
    sheets = {a["id"] for a in page.classed("sheet")}
    assert {a["popovertarget"] for a in opens} == sheets
    assert len(sheets) == len(opens)
    assert all("popover" in a and a.get("aria-labelledby") for a in page.classed("sheet"))


def test_a_sheet_holds_seeds_runs_curves_differences_provenance_and_the_command(laboratory) -> None:
    sweep = laboratory.sweep("table6")
    for seed in sweep.seeds:
        curve = {"test/top1": [0.5, 0.7, 0.9 + seed / 100], "train/loss": [2.0, 1.0, 0.5]}
        made = {"made.device": "cpu", "made.torch": "2.13.0", "fingerprint": "f1f1f1"}
        laboratory.run(sweep, "8 interleaved", seed, curve, tags=made)
    tables = assemble(["table6"], laboratory.tracker, {"table6": sweep})
    text = render(tables, "html", tracker=laboratory.tracker)
    for run in laboratory.tracker.runs():
        assert run.run_id in text
        assert run.digest in text
    assert "lab sweep table6 --scale laptop --only &#39;8 interleaved&#39;" in text
    assert "Differs from “1 at start” in 1 field:" in text
    assert "<code>optimizer.lr</code></dt><dd>0.001 → <b>0.008</b>" in text
    for fact in ("c0ffee", "f1f1f1", "<dt>Device</dt><dd>cpu</dd>", "<dt>Torch</dt><dd>2.13.0</dd>"):
        assert fact in text
    drawings = re.findall(r"<svg.*?</svg>", text, re.S)
    assert any("train/loss over steps, 3 seeds" in drawing for drawing in drawings)


def test_headings_never_skip_a_level(page_text: str) -> None:
    levels = [level for level, _ in Page(page_text).headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_head_of_a_table_says_what_it_heads(page_text: str) -> None:
    heads = Page(page_text).all("th")
    assert heads
    assert {attributes.get("scope") for attributes in heads} <= {"col", "row", "colgroup"}


def test_exhibits_stand_in_the_order_of_the_paper(page_text: str) -> None:
    titles = [said for level, said in Page(page_text).headings if level == 2]
    assert [title.partition(" ·")[0] for title in titles[:3]] == ["Table 2", "Table 6", "Table 7"]


def test_every_exhibit_is_labelled_with_its_scale_and_the_page_with_what_it_means(page_text: str) -> None:
    page = Page(page_text)
    assert len(page.classed("badge")) == 3
    assert page.text.count("laptop scale") >= 3
    assert "tests claims, not the paper's values" in page.text.split("Contents")[0][:2000]


def test_costs_count_a_run_of_two_exhibits_once_in_the_sum(laboratory) -> None:
    sweeps = {name: laboratory.sweep(name) for name in ("table6", "table7")}
    assert sweeps["table6"].cases[0].spec == sweeps["table7"].cases[0].spec
    laboratory.fill_case(sweeps["table6"], "1 at start", [0.9, 0.91, 0.92])
    tables = assemble(list(sweeps), laboratory.tracker, sweeps)
    six, seven, together = costs(tables, _record(tables, laboratory))
    assert (six.runs, seven.runs, together.runs) == (3, 3, 3)
    assert together.seconds == six.seconds == sum(run.worked for run in laboratory.tracker.runs())
    assert (six.owed.runs, seven.owed.runs, together.owed.runs) == (7 * 3, 3, 7 * 3)


def test_what_is_missing_of_a_sweep_nobody_has_run_has_no_price(laboratory) -> None:
    sweep = laboratory.sweep("table6")
    tables = assemble(["table6"], laboratory.tracker, {"table6": sweep})
    (cost,) = costs(tables, _record(tables, laboratory))
    assert (cost.runs, cost.owed.seconds, cost.owed.devices, cost.owed.unpriced) == (0, None, (), 8 * 3)


def test_what_is_missing_is_stated_in_operations_whatever_was_run(laboratory) -> None:
    """1,197 digits make 74 batches of 16; training is three forward passes, an evaluation is one."""
    sweep = laboratory.sweep("table6", changes={"duration": Epochs(2), "batch_size": 16})
    tables = assemble(["table6"], laboratory.tracker, {"table6": sweep})
    (cost,) = costs(tables, _record(tables, laboratory))
    forward = sweep.cases[0].spec.model.flops()
    of_a_run = forward * (3 * 2 * 74 * 16 + 2 * (300 + 300) + 1197)
    assert cost.owed.operations == 8 * 3 * of_a_run
    laboratory.run(sweep, "1 at start", 0, 0.9)
    (table,) = assemble(["table6"], laboratory.tracker, {"table6": sweep})
    assert table.cell("1 at start", "top1").operations == 2 * of_a_run  # type: ignore[union-attr]
    for form in ("md", "html", "csv", "json"):
        text = render([table], form, (), laboratory.tracker)
        assert (scaled(2 * of_a_run, "FLOP") if form in {"md", "html"} else repr(2.0 * of_a_run)) in text


def test_worker_hours_of_what_is_missing_are_those_of_the_finished_runs(laboratory) -> None:
    sweep = laboratory.sweep("table6")
    tags = {"made.device": "NVIDIA H200", "made.workers": "4"}
    for seed in sweep.seeds:
        laboratory.run(sweep, "1 at start", seed, 0.9, tags=tags)
    tables = assemble(["table6"], laboratory.tracker, {"table6": sweep})
    (cost,) = costs(tables, _record(tables, laboratory))
    assert cost.owed.devices == (("NVIDIA H200", pytest.approx(4 * cost.owed.seconds)),)
    cell = tables[0].cell("8 interleaved", "top1")
    hours = 4 * cell.price / 3600  # type: ignore[union-attr, operator]
    for form in ("md", "html"):
        assert f"{hours:.2f} h of NVIDIA H200" in render(tables, form, (), laboratory.tracker)
    (said,) = [
        cell
        for cell in data(tables[0])["cells"]
        if (cell["row"], cell["column"]) == ("8 interleaved", "top1")
    ]
    assert (said["price_device"], said["price_device_hours"]) == ("NVIDIA H200", hours)
    assert f",NVIDIA H200,{hours}\n" in render(tables, "csv")


def test_data_of_an_unstated_size_leaves_the_operations_unknown(laboratory, monkeypatch) -> None:
    monkeypatch.delattr(Digits, "full_sizes")
    sweep = laboratory.sweep("table6")
    tables = assemble(["table6"], laboratory.tracker, {"table6": sweep})
    (cost,) = costs(tables, _record(tables, laboratory))
    assert cost.owed.operations is None
    assert "FLOP" not in render(tables, "md").split("No result yet")[1]


def test_operations_are_three_times_those_forward_for_every_example_seen(laboratory) -> None:
    sweep = laboratory.sweep("table7", seeds=(0,), changes={"duration": Steps(7), "batch_size": 5})
    laboratory.run(sweep, "sharing", 0, {"validation/top1": 0.8, "train/top1": 0.9})
    tables = assemble(["table7"], laboratory.tracker, {"table7": sweep})
    (cost,) = costs(tables, _record(tables, laboratory))
    assert cost.operations == 3 * sweep.case("sharing").spec.model.flops() * 5 * 7


def test_the_checklist_is_answered_by_the_record_and_admits_what_is_not_known(laboratory) -> None:
    sweep = laboratory.sweep("table6", seeds=(0, 1))
    laboratory.run(sweep, "8 interleaved", 0, 0.9, tags={"made.device": "NVIDIA H200", "made.workers": "8"})
    laboratory.run(sweep, "8 interleaved", 1, 0.9, tags={"dirty": "true"})
    tables = assemble(["table6"], laboratory.tracker, {"table6": sweep})
    found = {item.question: item for item in checklist(tables, _record(tables, laboratory))}
    hardware = found["Is the hardware known?"]
    assert hardware.met == "in part"
    assert hardware.answer == "By run: NVIDIA H200, 8 workers (1 run), unknown (1 run)."
    assert found["Is the code known?"].met == "in part"
    assert "with uncommitted changes" in found["Is the code known?"].answer
    assert found["Is every number there?"].met == "no"
    assert "8 measured cells: 7 queued, 1 tainted." in found["Is every number there?"].answer
    assert found["Can the numbers be checked against tampering?"].met == "no"


def test_a_page_without_any_run_says_so_and_shows_every_command(laboratory) -> None:
    sweep = laboratory.sweep("table6")
    tables = assemble(["table6"], laboratory.tracker, {"table6": sweep})
    page = Page(render(tables, "html", tracker=laboratory.tracker))
    assert "No run yet" in page.text
    assert "lab sweep table6 --scale laptop" in page.text


def test_the_same_record_gives_the_same_bytes(laboratory) -> None:
    sweep = laboratory.sweep("table6")
    laboratory.fill_case(sweep, "8 interleaved", [0.9, 0.91, 0.92])
    tables = assemble(["table6"], laboratory.tracker, {"table6": sweep})
    once, again = (render(tables, "html", tracker=laboratory.tracker) for _ in range(2))
    assert once == again


def test_a_long_curve_keeps_its_ends_and_is_thinned_between() -> None:
    curve = [(step, float(step)) for step in range(1000)]
    kept = thinned(curve)
    assert len(kept) == MOST_POINTS
    assert (kept[0], kept[-1]) == (curve[0], curve[-1])
    assert thinned(curve[:5]) == curve[:5]


def test_a_curve_that_diverged_is_drawn_without_what_is_not_finite() -> None:
    panel = drawn({"train/loss": {0: [(1, 2.0), (2, float("inf")), (3, float("nan")), (4, 1.0)]}}, "")
    assert panel is not None
    assert "nan" not in panel.drawing
    assert "inf" not in panel.drawing
    assert drawn({"train/loss": {0: [(1, float("nan"))]}}, "") is None


def test_a_written_page_is_kept_with_the_record_and_replaced_by_the_next(laboratory, tmp_path) -> None:
    sweep = laboratory.sweep("table6")
    for value in (0.8, 0.9):
        laboratory.run(sweep, "8 interleaved", int(value * 10) - 8, value)
        (file,) = build(["table6"], laboratory.tracker, {"table6": sweep}, "html", tmp_path)
        kept = keep(laboratory.tracker, "laptop", [file])
        assert laboratory.tracker.text(kept, "report.html") == file.read_text(encoding="utf-8")
    parent = laboratory.tracker.parent("report", kind="report", scale="laptop")
    assert parent is not None
    assert (parent.run_id, parent.status) == (kept, Status.COMPLETE)


def _record(tables, laboratory) -> Record:
    digests = {spec.digest for table in tables for asked in table.measurements() for spec in asked.specs}
    return Record(laboratory.tracker, laboratory.tracker.find(digests))


def test_every_row_of_a_table_is_as_wide_as_its_head(page_text: str) -> None:
    bare = re.sub(r"<div popover.*?</div>", "", page_text, flags=re.S)
    for table in re.findall(r"<section id=\"table\d.*?</table>", bare, re.S):
        head, body = table.split("</thead>")
        groups = [int(n) for n in re.findall(r'class="group" colspan="(\d)"', head)]
        assert len(re.findall(r'class="sub"', head)) == sum(groups)
        for row in re.findall(r"<tr>.*?</tr>", body, re.S):
            assert len(re.findall(r"<td", row)) == sum(groups)
            assert row.count('<th scope="row">') == 1


def test_the_page_says_its_scale_and_what_it_does_not_stand_for(page_text: str) -> None:
    text = Page(page_text).text
    assert (
        "Laptop scale: digits, 8 × 8 × 1 inputs, 10 classes. "
        "Does not stand in for the paper's ImageNet numbers." in text
    )
    assert "incomplete 1/3" in text


def test_drawings_are_well_formed_and_say_what_they_show(page_text: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", page_text, re.S)
    assert drawings
    for drawing in drawings:
        assert ElementTree.fromstring(drawing).get("aria-label")
        assert "nan" not in drawing


def test_the_two_series_differ_in_more_than_colour(page_text: str) -> None:
    curve = next(d for d in re.findall(r"<svg.*?</svg>", page_text, re.S) if "interleaved" in d)
    assert "<circle" in curve
    assert "hollow" in curve
    assert "stroke-dasharray" in page_text


def test_what_stands_in_the_record_cannot_become_markup(laboratory) -> None:
    sweep = laboratory.sweep("table6", seeds=(0,))
    evil = "<script>alert(1)</script>"
    laboratory.run(sweep, "8 interleaved", 0, 0.9, tags={"commit": evil, "fingerprint": evil})
    tables = assemble(["table6"], laboratory.tracker, {"table6": sweep})
    text = render(tables, "html", tracker=laboratory.tracker)
    assert "<script" not in text
    assert "&lt;script&gt;" in text


@pytest.fixture
def search(laboratory) -> Search:
    base = laboratory.sweep("table7").cases[0].spec
    found = Search("size", "laptop", base, lambda suggest: {}, trials=6)
    parent = laboratory.tracker.group("size", kind="search", scale="laptop", owner="host:1:1").run_id
    for i, latents in enumerate((2, 4, 8, 16)):
        spec = base.override({"model.num_latents": latents, "optimizer.lr": 0.001 * (i + 1)})
        tags = {membership("size", "laptop"): str(i)}
        run = laboratory.tracker.begin(spec, name=f"{i}", owner="host:1:1", tags=tags, parent=parent)
        laboratory.tracker.log(run.run_id, [Scalar("validation/top1", 1, 0.80 + 0.01 * i)])
        laboratory.tracker.end(run.run_id, Status.PRUNED if latents == 16 else Status.COMPLETE)
    return found


def test_a_search_shows_what_its_trials_differ_in_and_only_that(laboratory, search: Search) -> None:
    (result,) = searched(laboratory.tracker, {"size": search})
    assert result.paths == ("model.num_latents", "optimizer.lr")
    assert [trial.score for trial in result.trials] == pytest.approx([83.0, 82.0, 81.0, 80.0])
    assert result.trials[0].flops > result.trials[-1].flops


def test_a_pruned_trial_cannot_win_a_search(laboratory, search: Search) -> None:
    (result,) = searched(laboratory.tracker, {"size": search})
    assert result.trials[0].status is Status.PRUNED
    assert result.complete[0].choices["model.num_latents"] == 8


@pytest.mark.parametrize("text", ["", "no JSON", '{"kind": "gone.Experiment"}'])
def test_a_trial_whose_specification_cannot_be_read_is_named_and_the_others_shown(
    laboratory, search: Search, text: str
) -> None:
    (victim, *_) = laboratory.tracker.runs()
    laboratory.tracker._change(victim.run_id, spec=text)
    (result,) = searched(laboratory.tracker, {"size": search})
    assert len(result.trials) == 3
    assert result.unreadable == (victim.digest,)
    page = Page(render([], "html", [result]))
    assert f"cannot read their specifications: {victim.digest}." in page.text


def test_the_search_section_has_a_mark_per_trial_in_every_figure(laboratory, search: Search) -> None:
    text = render([], "html", searched(laboratory.tracker, {"size": search}))
    Page(text)
    drawings = re.findall(r"<svg.*?</svg>", text, re.S)
    assert len(drawings) == 2 + 2 + 1
    for drawing in drawings[:-1]:
        assert drawing.count('class="mark') == 4
    assert drawings[-1].count("<polyline") == 4
    assert "biased" in text


def test_a_search_without_trials_says_what_starts_it(laboratory) -> None:
    base = laboratory.sweep("table7").cases[0].spec
    empty = Search("size", "laptop", base, lambda suggest: {})
    text = render([], "html", searched(laboratory.tracker, {"size": empty}))
    assert "lab sweep size --scale laptop" in text

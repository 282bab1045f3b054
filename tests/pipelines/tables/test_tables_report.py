"""The page: well-formed, self-contained, honest, and safe against what stands in the record."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from lab import Search
from lab.tracking.tracker import Scalar, Status, membership
from pipelines.tables import assemble, render, searched

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Tags must close in order; remembers what tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[int] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def page_text(laboratory) -> str:
    sweeps = {name: laboratory.sweep(name) for name in ("table2", "table6", "table7")}
    for case in sweeps["table6"].cases[:-1]:
        laboratory.fill_case(sweeps["table6"], case.label, [0.9, 0.91, 0.92])
    laboratory.run(sweeps["table6"], "8 interleaved", 0, 0.93)
    return render(assemble(list(sweeps), laboratory.tracker, sweeps), "html")


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


def test_every_measured_cell_opens_to_its_runs_and_its_command(page_text: str) -> None:
    page = Page(page_text)
    cells = 12 + 8 + 4
    assert len(page.all("details")) == len(page.all("summary")) == cells
    assert all(attributes.get("aria-label") for attributes in page.all("summary"))
    assert page.text.count("lab sweep table6 --scale laptop") >= 8


def test_every_row_of_a_table_is_as_wide_as_its_head(page_text: str) -> None:
    for table in re.findall(
        r"<section id=\"table\d.*?</table>",
        re.sub(r"<div class=\"sheet\">.*?</div>", "", page_text, flags=re.S),
        re.S,
    ):
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
    text = render(assemble(["table6"], laboratory.tracker, {"table6": sweep}), "html")
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

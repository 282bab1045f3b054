"""The report in a real browser: nothing is asked for, nothing overflows, everything can be reached and read.

Every exhibit is on the page, at laptop scale. Those of Table 6 have runs, so that a cell is in any state.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lab import Ablation, catalog
from lab.tracking.memory import MemoryTracker
from lab.tracking.tracker import Scalar, Status, membership
from pipelines.tables import build, exhibits

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[test]'")
pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")
FOCUSED = """() => {
  const at = document.activeElement;
  return at.classList.contains("open") ? at.getAttribute("popovertarget") : "";
}"""
SHOWN = "document.querySelector('.sheet:popover-open')?.id ?? ''"
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


def chromium() -> str:
    """A Chromium or Chrome of this machine."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.skip("no Chromium here: apt-get install chromium, or say where one is with CHROMIUM")
    return found


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chromium()
    tracker, laptop = MemoryTracker(), catalog.find_scale("laptop")
    sweeps = {exhibit.sweep: catalog.sweeps()[exhibit.sweep](laptop) for exhibit in exhibits().values()}
    table6 = sweeps["table6"]
    assert isinstance(table6, Ablation)
    parent = tracker.group("table6", kind="ablation", scale="laptop", owner="host:1:1").run_id
    for case in table6.cases[2:6]:
        for seed in table6.seeds[: 2 if case.label == "4 at start" else None]:
            tags = {membership("table6", "laptop"): case.label, "commit": "c0ffee" * 6, "made.device": "cpu"}
            spec = case.with_seed(seed)
            run = tracker.begin(spec, name=case.label, owner="host:1:1", tags=tags, parent=parent)
            curve = [Scalar("test/top1", step, 0.9 - 0.1 / step + seed / 500) for step in (1, 2, 3)]
            tracker.log(run.run_id, curve)
            tracker.end(run.run_id, Status.COMPLETE)
    tracker.end(parent, Status.COMPLETE)
    (file,) = build(sorted(exhibits()), tracker, sweeps, "html", tmp_path_factory.mktemp("report"))
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, page_file: Path) -> Iterator[Any]:
    """Opens the page: `opened(viewport=..., color_scheme=...)`."""
    contexts = []

    def open_page(**options: Any) -> Any:
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda fault: page.said.append(str(fault)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(page_file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_nothing_is_asked_for_but_the_file_and_the_console_stays_silent(opened, page_file, scripts) -> None:
    page = opened(viewport=DESK, java_script_enabled=scripts, offline=True)
    page.wait_for_timeout(200)
    assert page.asked == [page_file.as_uri()]
    assert page.said == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_is_no_wider_than_the_window(opened, width: int) -> None:
    page = opened(viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#table6 button.open").nth(4).click()
    box = page.locator(".sheet:popover-open").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    inside = "e => [e.scrollWidth, e.clientWidth]"
    scroll, client = page.locator(".sheet:popover-open").evaluate(inside)
    assert scroll <= client


def test_every_cell_is_reached_opened_and_closed_by_keyboard(opened) -> None:
    page = opened(viewport=DESK)
    wanted = page.locator("button.open").evaluate_all("all => all.map(b => b.getAttribute('popovertarget'))")
    reached = []
    for _ in range(len(wanted) + 400):
        page.keyboard.press("Tab")
        target = page.evaluate(FOCUSED)
        if not target:
            if len(reached) == len(wanted):
                break
            continue
        reached.append(target)
        page.keyboard.press("Enter")
        assert page.evaluate(SHOWN) == target
        assert page.evaluate("document.activeElement.textContent") == "Close"
        page.keyboard.press("Escape")
        assert page.evaluate(SHOWN) == ""
        assert page.evaluate(FOCUSED) == target
    assert reached == wanted


def test_cells_open_without_scripts(opened) -> None:
    page = opened(viewport=PHONE, java_script_enabled=False)
    button = page.locator("#table6 button.open").first
    button.click()
    sheet = page.locator("#table6 .sheet").first
    assert sheet.is_visible()
    sheet.get_by_role("button", name="Close").click()
    assert sheet.is_hidden()


def test_a_link_from_a_claim_or_a_cell_leads_to_what_it_names(opened) -> None:
    page = opened(viewport=DESK)
    gone = page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href').slice(1))"
        ".filter(name => !document.getElementById(name))"
    )
    assert gone == []
    page.locator("#specifications summary").first.wait_for()
    page.goto(page.url + "#" + page.locator("#specifications dl").first.get_attribute("id"))
    assert page.locator("#specifications dl").first.is_visible()


def test_who_cannot_see_it_is_told_everything_by_name(opened) -> None:
    page = opened(viewport=DESK)
    headings = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert headings.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(headings))
    for missing in (
        "table:not(:has(th[scope=col], th[scope=colgroup]))",
        "th:not([scope])",
        "img:not([alt])",
        "svg:not([role=img][aria-label])",
        "section:not([aria-labelledby])",
        "[role=region]:not([aria-label])",
        ".scroll:not([tabindex])",
        "[popover]:not([aria-labelledby])",
    ):
        assert page.locator(missing).count() == 0, missing
    nameless = "all => all.filter(e => !(e.getAttribute('aria-label') || e.textContent).trim()).length"
    assert page.locator("button, a, summary").evaluate_all(nameless) == 0
    assert page.locator("html[lang=en]").count() == page.locator("main").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_stands_out_from_what_is_behind_it(opened, scheme: str) -> None:
    page = opened(viewport=DESK, color_scheme=scheme)
    assert page.evaluate(CONTRAST) == []
    page.locator("#table6 button.open").nth(4).click()
    assert page.evaluate(CONTRAST) == []


def test_what_measures_contrast_would_notice_faint_words(opened) -> None:
    page = opened(viewport=DESK)
    page.add_style_tag(content=":root { --quiet: #c8c8c4; }")
    assert any(fault.startswith("Jaegle et al.") for fault in page.evaluate(CONTRAST))


def test_a_newcomer_is_told_how_to_read_it_and_how_far_each_exhibit_is(opened) -> None:
    page = opened(viewport=PHONE)
    legend = page.locator(".legend")
    assert legend.locator("dl").is_hidden()
    legend.locator("summary").click()
    told = legend.inner_text()
    used = page.locator("main .state").evaluate_all(
        "all => [...new Set(all.map(e => e.textContent.split(' ')[0]))]"
    )
    assert used
    assert [word for word in used if word not in told] == []
    progress = page.locator("nav li", has_text="Table 6 ·").locator(".progress")
    assert progress.inner_text() == "3 of 8 cells"
    page.locator("#table6 .up").click()
    assert page.url.endswith("#contents")


def test_a_table_that_goes_on_shows_that_it_does(opened) -> None:
    """The shade at the right edge is only seen where something is left to scroll to."""

    def edge(width: int) -> bytes:
        page = opened(viewport={"width": width, "height": 900})
        region = page.locator("#table6 .scroll")
        region.scroll_into_view_if_needed()
        box = region.bounding_box()
        clip = {"x": box["x"] + box["width"] - 3, "y": box["y"] + 8, "width": 2, "height": 2}
        return bytes(page.screenshot(clip=clip))

    assert edge(360) != edge(1280)


def test_on_paper_there_are_tables_and_no_controls(opened) -> None:
    page = opened(viewport={"width": 794, "height": 1123})
    page.emulate_media(media="print")
    assert page.locator("nav").is_hidden()
    assert page.locator("#table6 table").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 794
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_the_two_schemes_look_different_and_the_scale_is_in_the_first_window(opened) -> None:
    shots = []
    for scheme in ("light", "dark"):
        page = opened(viewport=PHONE, color_scheme=scheme)
        box = page.locator(".scale").first.bounding_box()
        assert box["y"] + box["height"] < PHONE["height"]
        shots.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert shots[0] != shots[1]

"""Figures stand alone, as vectors and as pixels, and say the same in grey."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from lab import Settings
from lab.train import sights
from pipelines.tables import svg
from pipelines.tables.build import assemble, exhibits
from pipelines.tables.figures import alone, draw, panels
from pipelines.tables.histories import mean, training
from pipelines.tables.plots import Panel
from pipelines.tables.raster import png, rules, styled

NOWHERE = Settings("", "", "/nonexistent", "/nonexistent")


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.fixture
def filled(laboratory):
    """Table 6 with two seeds of every row, each measured twice in training."""
    sweep = laboratory.sweep("table6", seeds=(0, 1))
    for number, case in enumerate(sweep.cases):
        for seed in (0, 1):
            value = {"test/top1": 0.8 + number / 100, "validation/top1": [0.5, 0.7 + seed / 10]}
            laboratory.run(sweep, case.label, seed, value)
    (table,) = assemble(["table6"], laboratory.tracker, {"table6": sweep})
    return table


def test_a_table_is_drawn_against_its_axis_against_cost_and_over_training(laboratory, filled) -> None:
    titles = [panel.title for panel in panels(filled, laboratory.tracker, NOWHERE)]
    assert titles == [
        "Ours, laptop scale: digits",
        "The paper: ImageNet",
        "Against FLOPs. Ours, laptop scale: digits",
        "Against FLOPs. The paper: ImageNet",
        "Training, validation/top1. Laptop scale",
    ]


def test_files_are_written_for_every_drawing_and_are_the_same_every_time(
    laboratory, filled, tmp_path: Path
) -> None:
    texts = []
    for folder in ("one", "two"):
        files = draw([filled], laboratory.tracker, NOWHERE, "svg", tmp_path / folder)
        assert [file.name for file in files] == [f"table6.{n}.svg" for n in range(1, 6)]
        texts.append([file.read_text() for file in files])
    assert texts[0] == texts[1]


def test_a_drawing_alone_has_its_title_and_style_and_fetches_nothing(filled) -> None:
    panel = exhibits()["table6"].plot(filled)[0]
    root = ElementTree.fromstring(alone(panel))
    assert root[0].text == panel.title
    assert "--one" in root[1].text
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", alone(panel))


@pytest.mark.parametrize("series", range(svg.SERIES))
def test_series_differ_in_mark_and_dash_without_their_hue(series: int) -> None:
    def shape(number: int) -> tuple[str, str]:
        mark = svg.mark((10, 10), number)
        dash = styled("polyline", f"curve s{number + 1}", {}).get("stroke-dasharray", "")
        return re.sub(r" class=\"mark s\d", "", mark), dash

    others = [shape(number) for number in range(svg.SERIES) if number != series]
    assert shape(series)[0] not in [mark for mark, _ in others]
    assert shape(series)[1] not in [dash for _, dash in others]


def test_the_mark_of_a_point_is_where_the_scales_put_it() -> None:
    drawing = svg.drawing(100, 100, "one mark", svg.mark((70, 30), 0, size=10))
    image = pixels(png(drawing, dots=100))
    assert image.shape == (100, 100, 3)
    paper = image[5, 5]
    assert (image[30, 70] != paper).any()
    assert (image[70, 30] == paper).all()
    assert tuple(image[30, 70]) == tuple(
        int(styled("circle", "mark s1", {})["fill"][i : i + 2], 16) for i in (1, 3, 5)
    )


def test_what_is_drawn_later_is_in_front() -> None:
    back, front = (
        svg.element("rect", x=0, y=0, width=100, height=100, fill=hue) for hue in ("#ff0000", "#0000ff")
    )
    image = pixels(
        png(svg.drawing(100, 100, "two", back, svg.line((0, 50), (100, 50), "grid"), front), dots=100)
    )
    assert (image == (0, 0, 255)).all()


def test_a_picture_in_a_drawing_keeps_its_pixels() -> None:
    levels = np.array([[0, 255], [128, 64]], np.uint8)
    drawing = svg.drawing(100, 100, "four", svg.picture(sights.png(levels), (0, 0), (100, 100)))
    image = pixels(png(drawing, dots=100))
    assert [[int(image[y, x, 0]) for x in (25, 75)] for y in (25, 75)] == levels.tolist()


def test_every_class_that_a_drawing_has_is_in_the_style(filled) -> None:
    known = {name for selector, _ in rules() for name in selector.split(".")[1:]}
    used = {
        name
        for panel in exhibits()["table6"].plot(filled)
        for classes in re.findall(r'class="([^"]+)"', panel.drawing)
        for name in classes.split()
    }
    assert used - known <= {"label"}


def test_curves_of_seeds_are_averaged_where_all_have_a_value(laboratory, filled) -> None:
    curve = mean([[(1, 0.25), (2, 0.5), (3, 0.5)], [(1, 0.75), (2, math.inf), (3, 1.0)]])
    assert curve == [(1, 50.0), (3, 75.0)]
    assert mean([[], []]) == []
    (panel,) = training(filled, laboratory.tracker)
    assert panel.drawing.count("<polyline") == len(filled.rows)


def test_a_png_is_the_drawing_at_twice_its_size(filled) -> None:
    panel: Panel = exhibits()["table6"].plot(filled)[0]
    assert pixels(png(panel.drawing)).shape == (500, 680, 3)
    assert png(panel.drawing) == png(panel.drawing)

"""A drawing as PNG: the few elements that `svg` makes, in the style of `plot.css`, through matplotlib."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from xml.etree import ElementTree

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Polygon, Rectangle

from pipelines.tables import svg

Style = Mapping[str, str]
POINTS = 0.72
"""of a CSS pixel where 100 of them are an inch"""


def png(drawing: str, dots: int = 200) -> bytes:
    """The drawing on the light paper, with `dots` to 100 of its pixels."""
    root = ElementTree.fromstring(drawing)  # noqa: S314 our own drawing
    width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
    figure = Figure(figsize=(width / 100, height / 100), dpi=dots, facecolor=styled("svg", "", {})["--paper"])
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    for order, element in enumerate(root):
        if not element.tag.endswith("defs"):
            _draw(axes, element, order)
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})
    return file.getvalue()


def styled(tag: str, classes: str, own: Style) -> Style:
    """What applies to an element: its own attributes, then the rules of its classes in their order, with all
    variables resolved."""
    found = dict(own)
    for selector, declarations in rules():
        wanted_tag, *wanted = selector.split(".")
        if wanted_tag in ("", ":root", tag) and set(wanted) <= set(classes.split()):
            found |= {k: v for k, v in declarations.items() if v != "revert-layer"}
            if declarations.get("fill") == "revert-layer":
                found["fill"] = own.get("fill", "none")
    return {name: _resolved(value, found) for name, value in found.items()}


@cache
def rules() -> tuple[tuple[str, Style], ...]:
    """The rules of the style sheet in order: the last simple selector, and what it declares."""
    text = re.sub(r"/\*.*?\*/", "", svg.STYLE.read_text(encoding="utf-8"), flags=re.DOTALL)
    parsed = []
    for selectors, body in re.findall(r"([^{}]+)\{([^{}]*)\}", text):
        pairs = (declaration.partition(":") for declaration in body.split(";") if declaration.strip())
        declared = {name.strip(): value.strip() for name, _, value in pairs}
        parsed += [(selector.split()[-1], declared) for selector in selectors.split(",")]
    return tuple(parsed)


def _resolved(value: str, variables: Style) -> str:
    while match := re.search(r"var\((--[a-z]+)\)", value):
        value = value.replace(match.group(), variables[match.group(1)])
    return value


def _draw(axes: Axes, element: ElementTree.Element, order: int) -> None:
    """Add one element in front of those before it."""
    tag, given = element.tag.rpartition("}")[2], element.attrib
    style = styled(tag, given.get("class", ""), given)
    number = {key: float(value) for key, value in given.items() if re.fullmatch(r"-?[\d.]+", value)}
    look = _look(style) | {"zorder": order}
    match tag:
        case "line":
            x, y = (number["x1"], number["x2"]), (number["y1"], number["y2"])
            axes.add_line(Line2D(x, y, zorder=order, **_stroke(style)))
        case "polyline":
            axes.add_line(Line2D(*zip(*_points(given), strict=True), zorder=order, **_stroke(style)))
        case "polygon":
            axes.add_patch(Polygon(list(_points(given)), **look))
        case "rect":
            corner = (number["x"], number["y"])
            axes.add_patch(Rectangle(corner, number["width"], number["height"], **look))
        case "circle":
            axes.add_patch(Circle((number["cx"], number["cy"]), number["r"], **look))
        case "image":
            picture = imread(io.BytesIO(b64decode(given["href"].partition(",")[2])))
            left, top = number["x"], number["y"]
            extent = (left, left + number["width"], top + number["height"], top)
            limits = {"xlim": axes.get_xlim(), "ylim": axes.get_ylim()}
            axes.imshow(
                picture, cmap="gray", interpolation="nearest", aspect="auto", extent=extent, zorder=order
            )
            axes.set(**limits)
        case "text":
            anchor = {"middle": "center", "end": "right"}.get(given.get("text-anchor", ""), "left")
            axes.text(
                number["x"],
                number["y"],
                element.text or "",
                zorder=order,
                ha=anchor,
                va="baseline",
                color=style["fill"],
                size=_pixels(style["font-size"]) * POINTS,
            )


def _points(given: Mapping[str, str]) -> Iterator[tuple[float, float]]:
    for pair in given["points"].split():
        x, _, y = pair.partition(",")
        yield float(x), float(y)


def _stroke(style: Style) -> dict[str, Any]:
    stroke: dict[str, Any] = {
        "color": style["stroke"],
        "linewidth": _pixels(style.get("stroke-width", "1")) * POINTS,
        "alpha": float(style.get("stroke-opacity", style.get("opacity", "1"))),
    }
    if "stroke-dasharray" in style:
        # Matplotlib counts dashes in widths of their line.
        widths = _pixels(style["stroke-width"])
        stroke["dashes"] = [float(part) / widths for part in style["stroke-dasharray"].split()]
    return stroke


def _look(style: Style) -> dict[str, Any]:
    fill, stroke = style.get("fill", "black"), style.get("stroke", "none")
    return {
        "facecolor": "none" if fill.startswith("url(") else fill,
        "edgecolor": stroke,
        "hatch": "//////" if fill.startswith("url(") else None,
        "linewidth": _pixels(style.get("stroke-width", "0")) * POINTS,
        "alpha": float(style.get("opacity", "1")),
    }


def _pixels(text: str) -> float:
    return float(text.removesuffix("px"))

"""Scalable drawings as text: elements, scales with round ticks, and marks that differ in shape and colour.

Colours are classes, so that the page decides them (and a dark page differently). Coordinates are in CSS
pixels with one decimal, so that equal numbers give equal bytes.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

Point = tuple[float, float]
STYLE = Path(__file__).with_name("plot.css")
SERIES = 4
"""Series that differ in mark, dash and hue."""


def element(name: str, *children: str, **attributes: str | float | None) -> str:
    """`<name attribute="...">children</name>`; `class_`, `stroke_width` become `class`, `stroke-width`."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{''.join(children)}</{name}>" if children else f"<{name}{written}/>"


def drawing(width: float, height: float, title: str, *children: str) -> str:
    """A whole drawing that scales with its container and says `title` to who cannot see it."""
    return element(
        "svg",
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_text(width)} {_text(height)}",
        role="img",
        aria_label=title,
        class_="plot",
    )


def text(content: str, x: float, y: float, anchor: str = "start", class_: str | None = None) -> str:
    return element("text", escape(content), x=x, y=y, text_anchor=anchor, class_=class_)


def line(start: Point, end: Point, class_: str) -> str:
    return element("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_=class_)


def polyline(points: Sequence[Point], class_: str, opacity: float | None = None) -> str:
    return element("polyline", points=" ".join(f"{_text(x)},{_text(y)}" for x, y in points), class_=class_,
                   opacity=None if opacity is None else f"{opacity:.2f}")  # fmt: skip


def polygon(points: Sequence[Point], class_: str) -> str:
    return element("polygon", points=" ".join(f"{_text(x)},{_text(y)}" for x, y in points), class_=class_)


def picture(png: bytes, at: Point, size: Point) -> str:
    """A PNG file inside the drawing, its pixels left sharp."""
    data = f"data:image/png;base64,{b64encode(png).decode()}"
    return element("image", href=data, x=at[0], y=at[1], width=size[0], height=size[1],
                   style="image-rendering:pixelated")  # fmt: skip


def mark(at: Point, series: int, class_: str = "", size: float = 4.0) -> str:
    """A filled circle, a hollow square, a filled triangle or a hollow diamond, by the series."""
    x, y = at
    classes = f"mark s{series % SERIES + 1} {class_}".strip()
    match series % SERIES:
        case 0:
            return element("circle", cx=x, cy=y, r=size, class_=classes)
        case 1:
            side = 2 * size
            return element(
                "rect", x=x - size, y=y - size, width=side, height=side, class_=f"{classes} hollow"
            )
        case 2:
            return polygon([(x, y - size - 1), (x + size + 1, y + size), (x - size - 1, y + size)], classes)
        case _:
            reach = size + 1.5
            corners = [(x, y - reach), (x + reach, y), (x, y + reach), (x - reach, y)]
            return polygon(corners, f"{classes} hollow")


def whisker(start: Point, end: Point, cap: float = 3.0) -> str:
    """An interval: a line with a cap at either end."""
    (x1, y1), (x2, y2) = start, end
    across = (0.0, cap) if y1 == y2 else (cap, 0.0)
    caps = [
        line((x - across[0], y - across[1]), (x + across[0], y + across[1]), "whisker")
        for x, y in (start, end)
    ]
    return line((x1, y1), (x2, y2), "whisker") + "".join(caps)


def hatch(identity: str, series: int) -> str:
    """A pattern of stripes in a series' colour, to be used as `fill="url(#identity)"`."""
    stripe = element("path", d="M0 5 L5 0", class_=f"stripe s{series + 1}")
    return element(
        "defs",
        element("pattern", stripe, id=identity, width=5, height=5, patternUnits="userSpaceOnUse"),
    )


@dataclass(frozen=True)
class Scale:
    """Values in [low, high] -> pixels in [start, end], evenly or by their logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        part = 0.5 if high == low else (at - low) / (high - low)
        return self.start + part * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        """Round values inside the scale; powers of ten and their halves or fifths on a logarithmic one."""
        if not self.log:
            return round_ticks(self.low, self.high)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        fine = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        inside = [tick for tick in fine if self.low <= tick <= self.high]
        whole = [tick for tick in inside if f"{tick:e}"[0] == "1"]
        return whole if len(whole) >= 3 else inside


def round_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten within [low, high]."""
    if high <= low:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((m * power for m in (1, 2, 2.5, 5) if m * power >= raw), 10 * power)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 10) for k in range(first, last + 1)]


def padded(values: Sequence[float], part: float = 0.08) -> tuple[float, float]:
    """The range of the values with a little room on either side; room around a single value too."""
    low, high = min(values), max(values)
    room = part * (high - low) or max(abs(high) * part, 1.0)
    return low - room, high + room


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")

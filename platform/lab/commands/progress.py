"""What a person sees of something long that is counted: one line that is rewritten in a terminal, a line now
and then elsewhere."""

from __future__ import annotations

import shutil
import sys
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TextIO

from lab.train.progress import REDRAW_SECONDS, clock

LINE_SECONDS = 30.0
"""Between lines that are not rewritten."""
WINDOW = 30
"""Seconds by which the rate is measured: what was found done says nothing about what is left."""


class CountLine:
    """Shows counts as `write imagenet  120,000/1,281,167  9.4%  2,113/s  9:10 left`.

    To be given as the `progress` of a preparation, whose stages follow each other.
    """

    def __init__(self, stream: TextIO | None = None, now: Callable[[], float] = monotonic) -> None:
        self.stream = stream or sys.stderr
        self._live = self.stream.isatty()
        self._now = now
        self._what = ""
        self._seen: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self._total = 0
        self._shown = now()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = self._now()
        if what != self._what:
            self.close()
            self._what = what
            self._seen.clear()
        self._total = total
        if len(self._seen) > 1 and now - self._seen[-2][0] < 1:
            self._seen[-1] = (now, done)
        else:
            self._seen.append((now, done))
        if now - self._shown >= (REDRAW_SECONDS if self._live else LINE_SECONDS):
            self._draw(now)

    def close(self) -> None:
        """Leave the last line standing."""
        if self._live and self._seen:
            self._draw(self._now())
            self.stream.write("\n")
            self.stream.flush()
        self._seen.clear()

    def text(self) -> str:
        """The line as it is now."""
        (begun, before), (now, done) = self._seen[0], self._seen[-1]
        parts = [self._what, f"{done:,}/{self._total:,}", f"{100 * done / max(1, self._total):.1f}%"]
        if now > begun and done > before:
            pace = (done - before) / (now - begun)
            parts.append(f"{pace:,.0f}/s" if pace >= 10 else f"{pace:.1f}/s")
            if left := self._total - done:
                parts.append(f"{clock(left / pace)} left")
        return "  ".join(parts)

    def _draw(self, now: float) -> None:
        self._shown = now
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write("\r" + self.text()[:width].ljust(width))
        else:
            self.stream.write(self.text() + "\n")
        self.stream.flush()

"""What a person sees of a run: one line that is rewritten in a terminal, one line per evaluation
elsewhere."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from time import monotonic
from typing import TextIO

from lab.train.loop import Evaluated, Heard, Lost, Resumed, Saved, Stepped

REDRAW_SECONDS = 0.1
QUIET_SECONDS = 10.0
"""a silence as long as this is shown; an evaluation or a compilation may take it too"""


class ProgressLine:
    """Shows events as `label  step 120/600  loss 0.412  validation/top1 91.2%  5,120 examples/s  0:42 left`.

    To be given to `train` as `on_event`. Events may be skipped: rates come from step numbers and the clock.
    With `tick` called now and then, a silence is shown too.
    """

    def __init__(self, label: str, batch_size: int, stream: TextIO | None = None) -> None:
        self.label, self.batch_size, self.stream = label, batch_size, stream or sys.stdout
        self._live = self.stream.isatty()
        self._metrics: Mapping[str, float] = {}
        self._latest: Stepped | None = None
        self._first: tuple[int, float] | None = None
        self._drawn, self._heard = 0.0, monotonic()
        self._begun = self._stopping = False

    def __call__(self, event: Heard) -> None:
        self._begun, self._heard = True, monotonic()
        match event:
            case Resumed(step):
                self._first = None
                self._line(f"{self.label}  continuing after step {step}")
            case Lost(cause):
                self._line(f"{self.label}  lost its workers: {cause}")
            case Stepped(step):
                self._latest = event
                self._first = self._first or (step, monotonic())
                if self._live and (monotonic() - self._drawn >= REDRAW_SECONDS or step == event.total):
                    self._redraw()
            case Evaluated():
                self._metrics = event.metrics
                if self._live:
                    self._redraw()
                else:
                    self._line(self.text(monotonic()))
            case Saved():
                pass

    def tick(self, stopping: bool = False) -> None:
        """Show that time passes: how long nothing was heard, and that the run was asked to stop."""
        if stopping and not self._stopping:
            self._stopping = True
            doing = "a checkpoint is written" if self._latest else "nothing is trained yet"
            self._line(f"{self.label}  stopping: {doing} (Ctrl-C again gives the run up)")
        if self._live and monotonic() - max(self._heard + QUIET_SECONDS, self._drawn) >= 1:
            self._redraw()

    def close(self) -> None:
        """Leave the last line standing."""
        if self._live and self._latest:
            self._redraw()
            self.stream.write("\n")
            self.stream.flush()

    def text(self, now: float) -> str:
        """The line at the time `now` of the monotonic clock."""
        parts = [self.label]
        if self._latest:
            parts += [
                f"step {self._latest.step}/{self._latest.total}",
                f"loss {float(self._latest.loss):.4g}",
            ]
        parts += [f"{name} {shown(name, value)}" for name, value in self._metrics.items() if telling(name)]
        if self._latest and self._first and now > self._first[1] and self._latest.step > self._first[0]:
            pace = (self._latest.step - self._first[0]) / (now - self._first[1])
            parts.append(f"{pace * self.batch_size:,.0f} examples/s")
            if left := self._latest.total - self._latest.step:
                parts.append(f"{clock(left / pace)} left")
        if (quiet := now - self._heard) >= QUIET_SECONDS:
            parts.append(f"nothing heard for {clock(quiet)}" if self._begun else f"starting, {clock(quiet)}")
        return "  ".join(parts)

    def _redraw(self) -> None:
        self._drawn = monotonic()
        width = shutil.get_terminal_size().columns - 1
        self.stream.write("\r" + self.text(self._drawn)[:width].ljust(width))
        self.stream.flush()

    def _line(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1 if self._live else 0
        self.stream.write(("\r" if self._live else "") + text.ljust(width) + "\n")
        self.stream.flush()


def telling(name: str) -> bool:
    """Whether a metric is worth its place on the line: the losses and top-5 of evaluations are in the
    record."""
    return not name.endswith(("/loss", "/top5"))


def shown(name: str, value: float) -> str:
    """Accuracies and average precisions in percent, as the tables print them."""
    return f"{100 * value:.1f}%" if name.endswith(("top1", "top5", "map")) else f"{value:.4g}"


def clock(seconds: float) -> str:
    """`0:42`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

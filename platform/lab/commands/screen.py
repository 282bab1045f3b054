"""What a person sees of a sweep: in a terminal a block that is rewritten, with a line for every trial at
work, under the lines of those that have ended; elsewhere only these lines."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from time import monotonic
from typing import TextIO

from lab.drive import Drive, Running
from lab.spec import ExperimentSpec
from lab.tally import span
from lab.tracking.tracker import Scalar
from lab.train.progress import shown, telling

REDRAW_SECONDS = 0.25
UP, CLEAR = "\x1b[{}A\r", "\x1b[J"
PACE = ("pace/", "lr")
"""how the names of metrics begin that are in the record for whoever wants them"""


class Screen:
    """`say` is the `progress` and `show` the `watch` of `lab.run.run_sweep`. steps(spec): how many a trial
    takes in all."""

    def __init__(
        self,
        steps: Callable[[ExperimentSpec], int],
        stream: TextIO | None = None,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self.stream = stream or sys.stdout
        self._live = self.stream.isatty()
        self._steps, self._now = steps, now
        self._totals: dict[str, int] = {}
        self._drawn: list[str] = []
        self._next = 0.0

    def say(self, text: str) -> None:
        """One line that stays."""
        block = self._drawn
        self._erase()
        self.stream.write(f"{text}\n")
        self._draw(block)

    def show(self, drive: Drive) -> None:
        """Draw the sweep as it is now, a few times a second at most."""
        if self._live and self._now() >= self._next:
            self._next = self._now() + REDRAW_SECONDS
            block = self.block(drive)
            self._erase()
            self._draw(block)

    def close(self) -> None:
        """Leave only the lines that stay."""
        self._erase()
        self.stream.flush()

    def block(self, drive: Drive) -> list[str]:
        """The sweep in a line, then each trial at work in one."""
        latest = drive.recorder.latest()
        lines = [self._line(running, latest.get(running.run.run_id, {})) for running in drive.running()]
        return [f"{drive.sweep.name}  {drive.tally.line()}", *lines]

    def _line(self, running: Running, latest: Mapping[str, Scalar]) -> str:
        parts = [f"  {running.job.title}"]
        told = [s for s in latest.values() if not s.name.startswith(PACE)]
        if told:
            parts.append(f"step {max(s.step for s in told)}/{self._total(running.job.spec)}")
            parts += [f"loss {s.value:.4g}" for s in told if s.name == "train/loss"]
            parts += [f"{s.name} {shown(s.name, s.value)}" for s in told if telling(s.name)]
        else:
            parts.append("starting" if running.begun else "waiting for a place")
        return "  ".join([*parts, span(self._now() - running.since)])

    def _total(self, spec: ExperimentSpec) -> int:
        if spec.digest not in self._totals:
            self._totals[spec.digest] = self._steps(spec)
        return self._totals[spec.digest]

    def _erase(self) -> None:
        if self._drawn:
            self.stream.write(UP.format(len(self._drawn)) + CLEAR)
        self._drawn = []

    def _draw(self, block: list[str]) -> None:
        """No line may be wider than the terminal, nor the block higher: what scrolled away stays."""
        size = shutil.get_terminal_size()
        fitting = [line[: size.columns - 1] for line in block[: size.lines - 2]]
        self.stream.write("".join(f"{line}\n" for line in fitting))
        self.stream.flush()
        self._drawn = fitting

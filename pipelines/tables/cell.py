"""What stands in a cell: a printed number, a counted one, a measured one, or the command that measures it.

    Quoted     printed in the paper, nothing to do here (pipelines.tables.paper)
    Counted    parameters or FLOPs: follows from the specification, no run needed
    Measured   at least one finished run, with its seeds, interval, provenance and state
    Missing    no finished run yet, with its command and price

Every cell knows its scale, and a number of one scale is never compared with the paper's of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from lab import forecast
from lab.spec import ExperimentSpec
from pipelines.tables import statistics
from pipelines.tables.paper import Quoted
from pipelines.tables.select import Selection

PAPER_SCALE = "paper"


def size(scale: str) -> str:
    """A scale without the readings in its name: `paper` of `paper/batch:512`."""
    return scale.partition("/")[0]


Quantity = Literal["parameters", "FLOPs"]


class Stage(StrEnum):
    """How far a cell is. Only `complete` is a result; the last two have a reason not to trust them."""

    MISSING = "missing"
    QUEUED = "queued"
    RUNNING = "running"
    INCOMPLETE = "incomplete"
    COMPLETE = "complete"
    STALE = "stale"
    TAINTED = "tainted"


@dataclass(frozen=True)
class State:
    """A stage, `done` of `of` seeds, and the reason where there is one."""

    stage: Stage
    done: int
    of: int
    why: str = ""

    @property
    def lacking(self) -> int:
        """Seeds that are not on record; what is only distrusted is not run again."""
        return self.of - self.done

    def __str__(self) -> str:
        if self.stage in (Stage.RUNNING, Stage.INCOMPLETE):
            return f"{self.stage} {self.done}/{self.of}"
        return str(self.stage)


@dataclass(frozen=True)
class Measurement:
    """What a cell asks of the record: one metric of one case over the sweep's seeds, by one rule."""

    sweep: str
    scale: str
    case: str
    specs: tuple[ExperimentSpec, ...]
    """one per seed"""
    metric: str
    selection: Selection

    @property
    def command(self) -> str:
        """What fills the cell, and does nothing when it is full."""
        return f"lab sweep {self.sweep} --scale {self.scale}"

    def operations(self, runs: int) -> float | None:
        """Of so many of its runs, on the full data: training and evaluations. None where its size is not
        stated."""
        if runs == 0:
            return 0.0
        sizes = forecast.stated_sizes(self.specs[0])
        return None if sizes is None else runs * forecast.operations(self.specs[0], sizes)


@dataclass(frozen=True)
class Reading:
    """The number one run contributes, in percent, and where it comes from."""

    seed: int
    run_id: str
    digest: str
    value: float
    step: int | None = None
    commit: str = ""


@dataclass(frozen=True)
class Pace:
    """What a price in seconds is measured on: a kind of device, and how many workers of a run have one."""

    device: str
    workers: int


@dataclass(frozen=True)
class Missing:
    """A measurement without a finished run. `price` is an estimate in seconds, None when nothing is known,
    and `operations` what it takes whatever it runs on; `pace`: what the seconds were measured on."""

    measurement: Measurement
    state: State
    paper: Quoted | None = None
    price: float | None = None
    pace: Pace | None = None

    @property
    def operations(self) -> float | None:
        return self.measurement.operations(self.state.lacking)


@dataclass(frozen=True)
class Measured:
    """A measurement with at least one finished run. `price` is what the seeds still missing would take, and
    so is `operations`."""

    measurement: Measurement
    state: State
    readings: tuple[Reading, ...]
    paper: Quoted | None = None
    price: float | None = None
    pace: Pace | None = None

    @property
    def operations(self) -> float | None:
        return self.measurement.operations(self.state.lacking)

    @property
    def by_seed(self) -> dict[int, float]:
        return {reading.seed: reading.value for reading in self.readings}

    @property
    def estimate(self) -> statistics.Estimate:
        """Mean over seeds in percent, with its 95 % interval."""
        return statistics.estimate([reading.value for reading in self.readings])

    @property
    def comparable(self) -> bool:
        """Whether the paper prints a number there that was measured at this scale."""
        return bool(
            self.paper and self.paper.value is not None and size(self.measurement.scale) == PAPER_SCALE
        )

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's, in points; None where the two cannot be compared."""
        if not self.comparable or self.paper is None or self.paper.value is None:
            return None
        return self.estimate.mean - self.paper.value

    @property
    def verdict(self) -> str:
        """What this number says about the paper's."""
        if self.paper is None or self.paper.value is None:
            return ""
        if not self.comparable:
            return "other scale"
        low, high = self.estimate.low, self.estimate.high
        if self.state.stage is not Stage.COMPLETE or low is None or high is None:
            return "undecided"
        return "agrees" if low <= self.paper.value <= high else "differs"


@dataclass(frozen=True)
class Counted:
    """Parameters or FLOPs of this scale's model, beside those of the paper's model and what is printed."""

    quantity: Quantity
    scale: str
    value: int
    at_paper_scale: int
    paper: Quoted | None = None

    @property
    def verdict(self) -> str:
        """Whether the count of the paper's model, rounded as the paper rounds, is what the paper prints."""
        if self.paper is None:
            return ""
        decimals = len(self.paper.text.rstrip("BMk").partition(".")[2])
        counted = short(self.at_paper_scale, decimals)
        return "exact" if counted == self.paper.text else f"counts {counted}"


Cell = Quoted | Counted | Measured | Missing


def short(count: int, decimals: int = 1) -> str:
    """A count as the paper prints it: `44.9M`, `707.2B`; below a thousand as it is."""
    for size, suffix in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.{decimals}f}{suffix}"
    return str(count)


def total(parts: Sequence[float | None]) -> float | None:
    """None where one of them is not known."""
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None

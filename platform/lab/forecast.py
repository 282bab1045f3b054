"""What runs will take, said before they are begun: operations counted, time and memory from runs like them.

Operations follow from the specification alone. Time is operations over a rate, and the rate is that of runs
on record: of the same experiment with other seeds where there are such, else of the same kind of model. Its
interval is the range in which the next run would fall 95 times in 100, were logarithms of rates normal and
their spread such that one run tells the next within a factor of two (assumed, with the weight of four
degrees of freedom, so that two runs that happen to agree, or not, do not decide it). Where there is no run,
a probe gives the rate.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from lab import codec
from lab.errors import MissingDataset, SpecError
from lab.quantity import quantity
from lab.spec import ExperimentSpec
from lab.student import critical
from lab.tracking.once import PACE
from lab.tracking.tracker import RunRecord, Status
from lab.train.pace import FORWARD_AND_BACKWARD

ONE_RUN = 2.0
"""factor either way of a forecast from a single run (assumed)"""
ASSUMED_DEGREES = 4
"""degrees of freedom that this weighs"""
A_PROBE = 1.5
"""factor either way between a few steps and a whole run: start, checkpoints, another load (assumed)"""
MORE_MEMORY = 1.25
"""what a whole run may take above a probe, or above the most that runs like it took (assumed)"""
CHECKPOINTS = 2
PEAK = PACE + "peak_memory_bytes"
BYTES_PER_WEIGHT = 4
MOMENTS = {"Sgd": 1}
"""numbers that an optimizer keeps per weight; the others keep two"""


@dataclass(frozen=True)
class Range:
    """A likely value between a low and a high one."""

    low: float
    likely: float
    high: float

    def __add__(self, other: Range) -> Range:
        """Of a sum: the ends add, as if all went well or ill together."""
        return Range(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def times(self, factor: float) -> Range:
        return Range(self.low * factor, self.likely * factor, self.high * factor)


@dataclass(frozen=True)
class Forecast:
    """One run. operations: of training and evaluations · seconds, memory (bytes of a worker): None where
    nothing like it is on record and nothing was probed · disk: bytes of its checkpoints · basis: what the
    seconds are from"""

    operations: float
    disk: float
    seconds: Range | None = None
    memory: Range | None = None
    basis: str = "no run like it on record"


def split_sizes(spec: ExperimentSpec, root: str) -> Mapping[str, int]:
    """Examples in the splits that a run reads: of the prepared data, else what is stated of the full set.

    Raises MissingDataset where it is neither prepared nor known.
    """
    try:
        source = spec.data.open(root)
    except MissingDataset:
        stated = stated_sizes(spec)
        if stated is None:
            raise
        return stated
    return {split: source.size(split) for split in _splits(spec)}


def stated_sizes(spec: ExperimentSpec) -> Mapping[str, int] | None:
    """The same of the full set, wherever that is; None where they are not stated."""
    stated: Mapping[str, int] = getattr(spec.data, "full_sizes", {})
    return stated if _splits(spec) <= stated.keys() else None


def _splits(spec: ExperimentSpec) -> set[str]:
    return {"train", *spec.evaluation.splits, *spec.evaluation.at_end}


def operations(spec: ExperimentSpec, sizes: Mapping[str, int]) -> float:
    """Floating point operations of training to the end and of every evaluation, for splits of these sizes."""
    evaluation, per_epoch = spec.evaluation, max(1, sizes["train"] // spec.batch_size)
    steps = spec.duration.in_steps(per_epoch)
    every = evaluation.every.in_steps(per_epoch)
    measured = -(-steps // every) * sum(sizes[split] for split in evaluation.splits)
    measured += sum(sizes[split] for split in evaluation.at_end if split not in evaluation.splits)
    return float(spec.model.flops() * (FORWARD_AND_BACKWARD * steps * spec.batch_size + measured))


def disk(spec: ExperimentSpec) -> float:
    """Bytes of the checkpoints that are kept of a run: weights and moments, twice."""
    moments = MOMENTS.get(type(spec.optimizer).__name__, 2)
    return float(CHECKPOINTS * BYTES_PER_WEIGHT * (1 + moments) * spec.model.parameters())


def forecast(spec: ExperimentSpec, sizes: Mapping[str, int], runs: Iterable[RunRecord]) -> Forecast:
    """What `spec` will take, from the complete ones of `runs`."""
    bare = Forecast(operations(spec, sizes), disk(spec))
    complete = [(run, made) for run in runs if run.status is Status.COMPLETE and (made := _spec_of(run))]
    anonymous = spec.override({"seed": 0})
    same = [(run, made) for run, made in complete if made.override({"seed": 0}) == anonymous]
    alike = [(run, made) for run, made in complete if _alike(made, spec)]
    for found, (noun, whose) in ((same, ("other seed", "it")), (alike, ("run", type(spec.model).__name__))):
        rates = [operations(made, sizes) / run.seconds for run, made in found if run.seconds > 0]
        if rates:
            peaks = [run.metrics[PEAK] for run, _ in found if PEAK in run.metrics]
            return replace(
                bare,
                seconds=_seconds(bare.operations, rates),
                memory=_memory(peaks) if peaks else None,
                basis=f"{quantity(len(rates), noun)} of {whose}",
            )
    return bare


def from_probe(
    spec: ExperimentSpec, sizes: Mapping[str, int], steps: Sequence[float], memory: float
) -> Forecast:
    """What `spec` will take, from the seconds of a few of its steps and the bytes that they took at most,
    both of one worker with its share of the batch."""
    work = operations(spec, sizes)
    of_a_step = FORWARD_AND_BACKWARD * spec.batch_size * spec.model.flops()
    likely = statistics.fmean(steps) * work / of_a_step
    within = 0.0
    if len(steps) > 1:
        error = statistics.stdev(steps) / math.sqrt(len(steps)) / statistics.fmean(steps)
        within = critical(len(steps) - 1) * error
    factor = math.exp(math.hypot(math.log(A_PROBE), within))
    return Forecast(
        work,
        disk(spec),
        Range(likely / factor, likely, likely * factor),
        Range(memory, memory, memory * MORE_MEMORY),
        f"a probe of {quantity(len(steps), 'step')}",
    )


def _seconds(work: float, rates: Sequence[float]) -> Range:
    logarithms, n = [math.log(rate) for rate in rates], len(rates)
    likely = work / math.exp(statistics.fmean(logarithms))
    assumed = (math.log(ONE_RUN) / critical(ASSUMED_DEGREES)) ** 2 / 2
    degrees = ASSUMED_DEGREES + n - 1
    seen = statistics.variance(logarithms) if n > 1 else 0.0
    variance = (ASSUMED_DEGREES * assumed + (n - 1) * seen) / degrees
    factor = math.exp(critical(degrees) * math.sqrt(variance * (1 + 1 / n)))
    return Range(likely / factor, likely, likely * factor)


def _memory(peaks: Sequence[float]) -> Range:
    return Range(min(peaks), statistics.median(peaks), max(peaks) * MORE_MEMORY)


def _alike(made: ExperimentSpec, spec: ExperimentSpec) -> bool:
    return (
        type(made.model) is type(spec.model)
        and type(made.data) is type(spec.data)
        and made.precision == spec.precision
    )


def _spec_of(run: RunRecord) -> ExperimentSpec | None:
    return _read(run.spec)


@lru_cache(maxsize=10_000)
def _read(text: str) -> ExperimentSpec | None:
    try:
        return codec.loads(ExperimentSpec, text)
    except SpecError:
        return None

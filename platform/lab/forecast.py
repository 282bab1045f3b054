"""What runs will take, said before they are begun: operations counted, time and memory from runs like them.

Operations follow from the specification alone. Time is operations over a rate, and the rate is that of runs
on record: of the same experiment with other seeds where there are such, else of the same kind of model. Its
interval is the range in which the next run would fall 95 times in 100, were logarithms of rates normal. With
one run to go by it is taken to be a factor of two either way (assumed).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lab import codec
from lab.errors import MissingDataset, SpecError
from lab.spec import ExperimentSpec
from lab.student import critical
from lab.tracking.tracker import RunRecord, Status
from lab.train.pace import FORWARD_AND_BACKWARD, PREFIX

ONE_RUN = 2.0
"""factor either way of a forecast from a single run"""
CHECKPOINTS = 2
PEAK = PREFIX + "peak_memory_bytes"
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
    nothing like it is on record · disk: bytes of its checkpoints · basis: what the seconds are from"""

    operations: float
    disk: float
    seconds: Range | None = None
    memory: float | None = None
    basis: str = "no run like it on record"


def split_sizes(spec: ExperimentSpec, root: str) -> Mapping[str, int]:
    """Examples in the splits that a run reads: of the prepared data, else what is stated of the full set.

    Raises MissingDataset where it is neither prepared nor known.
    """
    splits = {"train", *spec.evaluation.splits, *spec.evaluation.at_end}
    try:
        source = spec.data.open(root)
    except MissingDataset:
        stated: Mapping[str, int] = getattr(spec.data, "full_sizes", {})
        if not splits <= stated.keys():
            raise
        return stated
    return {split: source.size(split) for split in splits}


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
    for found, basis in ((same, "other seeds of it"), (alike, f"runs of {type(spec.model).__name__}")):
        rates = [operations(made, sizes) / run.seconds for run, made in found if run.seconds > 0]
        if rates:
            peaks = [run.metrics[PEAK] for run, _ in found if PEAK in run.metrics]
            return replace(
                bare,
                seconds=_seconds(bare.operations, rates),
                memory=max(peaks, default=None),
                basis=f"{len(rates)} {basis}",
            )
    return bare


def _seconds(work: float, rates: Sequence[float]) -> Range:
    logarithms = [math.log(rate) for rate in rates]
    middle, n = statistics.fmean(logarithms), len(rates)
    if n == 1:
        spread = math.log(ONE_RUN)
    else:
        spread = critical(n - 1) * statistics.stdev(logarithms) * math.sqrt(1 + 1 / n)
    likely = work / math.exp(middle)
    return Range(likely / math.exp(spread), likely, likely * math.exp(spread))


def _alike(made: ExperimentSpec, spec: ExperimentSpec) -> bool:
    return (
        type(made.model) is type(spec.model)
        and type(made.data) is type(spec.data)
        and made.precision == spec.precision
    )


def _spec_of(run: RunRecord) -> ExperimentSpec | None:
    try:
        return codec.loads(ExperimentSpec, run.spec)
    except SpecError:
        return None

"""What a run of a sweep will take: by the record as it was last looked at, else by a probe if that is
wanted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from lab.errors import LabError, MissingDataset
from lab.forecast import Forecast, Range, forecast, from_probe, split_sizes
from lab.probe import Probe, probe
from lab.resources import Resources
from lab.settings import Settings
from lab.spec import ExperimentSpec
from lab.tracking.tracker import RunRecord, Tracker

LOOK_SECONDS = 30.0
"""between two looks at the record, which grows while a sweep runs"""

Say = Callable[[str], object]


class Pricing:
    """Forecasts by digest. sustained: TFLOP/s of a worker, for what is not on record · probing: whether a few
    steps are measured where there is neither; say: is told of each probe, and of one that failed."""

    def __init__(
        self,
        tracker: Tracker,
        settings: Settings,
        resources: Resources,
        *,
        sustained: float | None = None,
        probing: bool = False,
        say: Say = lambda words: None,
    ) -> None:
        self.tracker, self.settings, self.resources = tracker, settings, resources
        self.sustained, self.probing, self.say = sustained, probing, say
        self.charge: Callable[[float], object] = lambda seconds: None
        """is told how long each probe held one worker's devices"""
        self._runs: list[RunRecord] = []
        self._found: dict[str, Forecast] = {}
        self._probes: dict[str, Probe | None] = {}
        self._looked = float("-inf")

    def price(self, spec: ExperimentSpec) -> Range | None:
        """Seconds of one run, None where nothing is known."""
        try:
            return self.forecast(spec).seconds
        except MissingDataset:
            return None

    def forget(self) -> None:
        """Look at the record anew when next asked."""
        self._looked = float("-inf")

    def forecast(self, spec: ExperimentSpec) -> Forecast:
        """What one run takes. Raises MissingDataset."""
        spec = spec.override({"seed": 0})
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._runs, self._found, self._looked = self.tracker.runs(), {}, time.monotonic()
        if spec.digest not in self._found:
            self._found[spec.digest] = self._forecast(spec)
        return self._found[spec.digest]

    def _forecast(self, spec: ExperimentSpec) -> Forecast:
        sizes = split_sizes(spec, self.settings.data)
        found = forecast(spec, sizes, self._runs)
        if found.seconds is None and self.sustained is not None:
            return at_speed(found, self.sustained, self.resources.workers)
        if found.seconds is None and (self.probing or spec.digest in self._probes):
            measured = self._probe(spec)
            if measured is not None and measured.seconds:
                return from_probe(spec, sizes, measured.seconds, measured.memory)
        return found

    def _probe(self, spec: ExperimentSpec) -> Probe | None:
        if spec.digest not in self._probes:
            self.say(f"probing {spec.digest}: a few steps, none of them recorded")
            begun = time.monotonic()
            try:
                self._probes[spec.digest] = probe(spec, self.resources, self.settings)
            except LabError as fault:
                self.say(f"  it cannot be probed: {fault}")
                self._probes[spec.digest] = None
            finally:
                self.charge(time.monotonic() - begun)
        return self._probes[spec.digest]


def at_speed(found: Forecast, teraflops: float, workers: int) -> Forecast:
    """The forecast with the time it takes if every worker sustains so many operations per second."""
    seconds = found.operations / (1e12 * teraflops * workers)
    basis = f"{teraflops:g} TFLOP/s of each worker, as given"
    return replace(found, seconds=Range(seconds, seconds, seconds), basis=basis)

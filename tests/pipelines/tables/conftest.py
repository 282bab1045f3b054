"""A laboratory for tables: ablations over a small Perceiver, and a record to write runs into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lab import Ablation, Case, Evaluation, ExperimentSpec
from lab.origin import FINGERPRINT, origin
from lab.settings import Settings
from lab.spec import ExperimentSpec as Spec
from lab.tracking.memory import MemoryTracker
from lab.tracking.tracker import RunRecord, Scalar, Status, Tracker, membership
from lab.train.chain import FILE as CHAIN
from lab.train.chain import TAG as CHAIN_TAG
from lab.train.chain import Chain
from perceiver import Fourier, Image, PerceiverConfig
from pipelines.data import Digits
from tests.lab.toy import toy_spec

MADE_WITH = origin(toy_spec(), Settings("", "", "", ""))
"""the tags that every run has"""
OWNER = "host:1:1"
SWEEP_CASES = {
    "table2": [
        f"{row} {pixels}"
        for row in (
            "ResNet (FF)",
            "ViT (FF)",
            "Transformer (FF)",
            "Perceiver (FF)",
            "Perceiver (learned pos.)",
            "Perceiver (no pos.)",
        )
        for pixels in ("raw", "permuted")
    ],
    "table5": [f"{n} cross-attends" for n in (4, 8, 12)],
    "table6": [f"{n} {place}" for n in (1, 2, 4, 8) for place in ("at start", "interleaved")],
    "table7": ["no sharing", "sharing"],
}


class Laboratory:
    """Sweeps whose cases differ in the learning rate, and a record of their runs."""

    def __init__(self, tracker: Tracker | None = None) -> None:
        self.tracker = tracker or MemoryTracker()
        self.parents: dict[str, RunRecord] = {}
        self.chained = False
        """whether runs are closed with the chain of what they measured"""

    def sweep(
        self,
        name: str,
        *,
        scale: str = "laptop",
        seeds: Sequence[int] = (0, 1, 2),
        changes: Mapping[str, object] | None = None,
    ) -> Ablation:
        model = PerceiverConfig(
            Image(8, 8, 1, Fourier(2, 8)),
            num_latents=4,
            latent_channels=8,
            blocks=2,
            self_attends_per_block=1,
            cross_attends=1,
            self_heads=2,
            num_classes=10,
        )
        evaluation = Evaluation(splits=("validation", "test"), at_end=("train",))
        base = ExperimentSpec(model=model, data=Digits(), evaluation=evaluation).override(changes or {})
        cases = tuple(
            Case(label, base.override({"optimizer.lr": 0.001 * number}))
            for number, label in enumerate(SWEEP_CASES[name], 1)
        )
        return Ablation(name, scale, cases, tuple(seeds))

    def begin(self, sweep: Ablation) -> str:
        """The id of the sweep's parent run, open."""
        if sweep.name not in self.parents:
            self.parents[sweep.name] = self.tracker.group(
                sweep.name, kind="ablation", scale=sweep.scale, owner=OWNER
            )
        return self.parents[sweep.name].run_id

    def close(self, sweep: Ablation) -> None:
        self.tracker.end(self.begin(sweep), Status.COMPLETE)

    def run(
        self,
        sweep: Ablation,
        case: str,
        seed: int,
        value: float | Mapping[str, float | Sequence[float]],
        *,
        status: Status = Status.COMPLETE,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """One run; `value` is the test accuracy, or metric -> value or values at steps 1, 2, ..."""
        spec: Spec = sweep.case(case).with_seed(seed)
        member = membership(sweep.name, sweep.scale)
        tags = (
            MADE_WITH | {"commit": "c0ffee", "dirty": "false", "case": case, member: case} | dict(tags or {})
        )
        record = self.tracker.begin(spec, name=case, owner=OWNER, tags=tags, parent=self.begin(sweep))
        metrics = value if isinstance(value, Mapping) else {"test/top1": value}
        scalars = [
            Scalar(metric, step, at)
            for metric, values in metrics.items()
            for step, at in enumerate([values] if isinstance(values, float) else values, 1)
        ]
        self.tracker.log(record.run_id, scalars)
        if self.chained:
            self.chain(record, scalars)
        if status is not Status.RUNNING:
            self.tracker.end(record.run_id, status)
        return record.run_id

    def chain(self, record: RunRecord, scalars: Sequence[Scalar]) -> None:
        chain = Chain(record.digest, record.tags[FINGERPRINT])
        for scalar in scalars:
            chain.add(scalar.step, (0, scalar.step), scalar.name, scalar.value)
        with TemporaryDirectory() as folder:
            file = Path(folder, CHAIN)
            file.write_text(chain.text({}))
            self.tracker.attach(record.run_id, file)
        self.tracker.tag(record.run_id, {CHAIN_TAG: chain.head})

    def fill_case(
        self, sweep: Ablation, case: str, values: Sequence[float], metric: str = "test/top1"
    ) -> None:
        for seed, value in zip(sweep.seeds, values, strict=True):
            self.run(sweep, case, seed, {metric: value})


@pytest.fixture
def laboratory() -> Laboratory:
    return Laboratory()

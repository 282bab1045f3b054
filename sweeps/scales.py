"""The same experiments, smaller: each scale is a function of the paper's experiment.

At the scale `laptop` models are those of `sweeps.smaller`; data and recipe are its own, one of each for every
data set of the paper. What is of that size already is left as it is."""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch

from lab import AdamW, Classification, CosineAfter, Dataset, Epochs, Evaluation, ExperimentSpec, Scale, Steps
from lab.errors import SpecError
from perceiver import PerceiverConfig
from perceiver.baselines import PointNetPlusPlus, ResNet, Transformer, ViT
from pipelines.data import AudioSet, Digits, EventClips, ImageNet, MeshZoo, ModelNet40, PairScenes
from sweeps.readings import AMBIGUITIES
from sweeps.smaller import smaller, smaller_clips

_LEARNING_RATES = {PerceiverConfig: 3e-3, ResNet: 2e-3, ViT: 1e-3, Transformer: 3e-3, PointNetPlusPlus: 3e-3}
"""One per kind of model, chosen by hand, as the paper swept each model by itself."""


def _as_stated(spec: ExperimentSpec) -> ExperimentSpec:
    return spec


def _on_stand_in(spec: ExperimentSpec) -> ExperimentSpec:
    return on_stand_in(spec.data, spec)


@singledispatch
def on_stand_in(data: Dataset, spec: ExperimentSpec) -> ExperimentSpec:
    """The experiment on what stands in for its data, with a recipe for a minute: in so few steps AdamW, a
    cosine and smoothed labels do better than LAMB and a long constant stretch."""
    raise SpecError(
        f"the laptop scale has nothing in place of {data.name}: run the experiment as it is with --scale own."
    )


@on_stand_in.register(Digits)
@on_stand_in.register(PairScenes)
@on_stand_in.register(MeshZoo)
@on_stand_in.register(EventClips)
def _(data: Dataset, spec: ExperimentSpec) -> ExperimentSpec:
    return spec


@on_stand_in.register
def _(data: ImageNet, spec: ExperimentSpec) -> ExperimentSpec:
    """270 steps on the digits, for the paper's 120 epochs, and for whatever is given in steps."""
    return replace(
        _shortened(spec, Digits()),
        task=Classification(label_smoothing=0.1),
        duration=spec.duration.scaled(15 / 120) if isinstance(spec.duration, Epochs) else Epochs(15),
        batch_size=64,
        evaluation=Evaluation(every=Epochs(3), splits=("validation", "test"), at_end=("train",)),
    )


@on_stand_in.register
def _(data: ModelNet40, spec: ExperimentSpec) -> ExperimentSpec:
    """800 steps on MeshZoo, for the paper's 50,000."""
    return replace(
        _shortened(spec, MeshZoo()),
        task=Classification(label_smoothing=0.1),
        duration=spec.duration.scaled(800 / 50_000),
        batch_size=50,
        evaluation=Evaluation(every=Steps(400), splits=("validation", "test")),
    )


@on_stand_in.register
def _(data: AudioSet, spec: ExperimentSpec) -> ExperimentSpec:
    """16 epochs of EventClips, for the paper's 100; evaluation averages 3 overlapping spans, not 16."""
    return replace(
        _shortened(spec, smaller_clips(data)),
        optimizer=AdamW(lr=3e-3, weight_decay=0.01),
        clip=1.0,
        duration=spec.duration.scaled(16 / 100),
        batch_size=32,
        evaluation=Evaluation(every=Epochs(8), splits=("validation", "test"), batch_size=100),
    )


def _shortened(spec: ExperimentSpec, data: Dataset) -> ExperimentSpec:
    """What these recipes have in common. Of the experiment's own only the clipping is left."""
    return replace(
        spec,
        model=smaller(spec.model),
        data=data,
        optimizer=AdamW(lr=_LEARNING_RATES.get(type(spec.model), 3e-3), weight_decay=0.01),
        schedule=CosineAfter(flat=0.0),
        precision="fp32",
    )


paper = Scale(
    "paper",
    _as_stated,
    seeds=(0, 1, 2),
    caption="the paper's data, sizes and recipe",
    ambiguities=AMBIGUITIES,
)
own = Scale(
    "own", _as_stated, seeds=(0, 1, 2), caption="as the experiment states itself; compared with nothing"
)
laptop = Scale(
    "laptop",
    _on_stand_in,
    seeds=(0, 1, 2, 3, 4),
    caption="small data in place of the paper's (digits, meshes, clips) and models a thousand times smaller; "
    "tests claims, not the paper's values",
    ambiguities=AMBIGUITIES,
)

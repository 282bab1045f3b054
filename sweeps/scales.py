"""The same experiments, smaller: each scale is a function of the paper's experiment.

`laptop` keeps what the paper's ablations are about (the number, placement and sharing of cross-attends and latent
Transformers, the kind of positions, the recipe's shape) and divides the sizes. A size that an ablation changes is
divided in the same way, so its axis keeps its proportions.
"""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch

from lab import CosineAfter, Epochs, Evaluation, ExperimentSpec, Lamb, Model, Scale, StepDecay
from lab.durations import Duration
from lab.optim.config import Schedule
from perceiver import Fourier, Image, Learned, PerceiverConfig
from perceiver.baselines import ResNet, Transformer, ViT
from pipelines.data import Digits

LAPTOP_EPOCHS = 30
"""for the paper's 120 epochs"""


def _as_stated(spec: ExperimentSpec) -> ExperimentSpec:
    return spec


def _on_digits(spec: ExperimentSpec) -> ExperimentSpec:
    shrink = LAPTOP_EPOCHS / 120
    return replace(
        spec,
        model=smaller(spec.model),
        data=Digits(),
        optimizer=Lamb(lr=0.01),
        schedule=_shortened(spec.schedule, shrink),
        duration=spec.duration.scaled(shrink),
        batch_size=64,
        evaluation=Evaluation(every=Epochs(2), splits=("validation", "test"), at_end=spec.evaluation.at_end),
        precision="fp32",
    )


@singledispatch
def smaller(model: Model) -> Model:
    """The model for 8 x 8 grey images of ten classes."""
    raise TypeError(f"no laptop scale is defined for {type(model).__name__}: add one with @smaller.register.")


@smaller.register
def _(model: PerceiverConfig) -> Model:
    return replace(
        model,
        inputs=_digit(model.inputs),
        num_latents=model.num_latents // 16,
        latent_channels=model.latent_channels // 16,
        self_attends_per_block=-(-model.self_attends_per_block // 6),
        self_heads=4,
        num_classes=10,
    )


@smaller.register
def _(model: ResNet) -> Model:
    return replace(
        model,
        inputs=_digit(model.inputs),
        depths=(1, 1, 1),
        widths=(16, 32, 64),
        residual="basic",
        stem="3x3",
        stem_width=16,
        num_classes=10,
    )


@smaller.register
def _(model: ViT) -> Model:
    return replace(model, inputs=_digit(model.inputs), patch=2, width=64, depth=3, heads=4, num_classes=10)


@smaller.register
def _(model: Transformer) -> Model:
    return replace(model, inputs=_digit(model.inputs), grid=None, width=64, depth=3, heads=4, num_classes=10)


def _digit(inputs: object) -> Image:
    """The same kind of pixels, 8 x 8 x 1, with bands up to the Nyquist frequency of 8 pixels."""
    assert isinstance(inputs, Image)
    positions = inputs.positions
    if isinstance(positions, Fourier):
        positions = replace(positions, bands=max(1, positions.bands // 8), max_resolution=8)
    elif isinstance(positions, Learned):
        positions = replace(positions, channels=max(1, positions.channels // 8))
    return replace(inputs, height=8, width=8, channels=1, positions=positions)


def _shortened(schedule: Schedule, factor: float) -> Schedule:
    match schedule:
        case StepDecay(milestones=milestones):
            shorter: tuple[Duration, ...] = tuple(milestone.scaled(factor) for milestone in milestones)
            return replace(schedule, milestones=shorter)
        case CosineAfter():
            return schedule
        case _:
            return schedule


paper = Scale("paper", _as_stated, seeds=(0, 1, 2), caption="the paper's data, sizes and recipe")
laptop = Scale(
    "laptop",
    _on_digits,
    seeds=(0, 1, 2),
    caption="handwritten digits of 8 x 8 pixels and models about 200 times smaller; tests claims, not the paper's values",
)

"""The same experiments, smaller: each scale is a function of the paper's experiment.

`laptop` keeps what the paper's ablations are about (the number, placement and sharing of cross-attends and
latent Transformers, the kind of positions) and divides the sizes. A size that an ablation changes is divided
in the same way, so its axis keeps its proportions. Data and recipe are its own."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import singledispatch

from lab import AdamW, Classification, CosineAfter, Epochs, Evaluation, ExperimentSpec, Model, Scale
from lab.errors import SpecError
from perceiver import Fourier, Image, Learned, PerceiverConfig
from perceiver.baselines import ResNet, Transformer, ViT
from pipelines.data import Digits

LAPTOP_EPOCHS = 15
"""for the paper's 120 epochs"""
SHRINK = Fraction(3, 64)
"""of the latent array, along both of its axes: 512 x 1024 becomes 24 x 48"""

_LEARNING_RATES = {PerceiverConfig: 3e-3, ResNet: 2e-3, ViT: 1e-3, Transformer: 3e-3}


def _as_stated(spec: ExperimentSpec) -> ExperimentSpec:
    return spec


def _on_digits(spec: ExperimentSpec) -> ExperimentSpec:
    """A recipe for 270 steps: in so few AdamW, a cosine and smoothed labels do better than LAMB and a long
    constant stretch. Learning rates are one per kind of model, chosen by hand, as the paper swept each
    model by itself."""
    return replace(
        spec,
        model=smaller(spec.model),
        data=Digits(),
        task=Classification(label_smoothing=0.1),
        optimizer=AdamW(lr=_LEARNING_RATES[type(spec.model)], weight_decay=0.01),
        schedule=CosineAfter(flat=0.0),
        duration=spec.duration.scaled(LAPTOP_EPOCHS / 120),
        batch_size=64,
        evaluation=Evaluation(every=Epochs(3), splits=("validation", "test"), at_end=("train",)),
        precision="fp32",
    )


@singledispatch
def smaller(model: Model) -> Model:
    """The model for 8 x 8 grey images of ten classes."""
    raise SpecError(
        f"the laptop scale cannot make {type(model).__name__} smaller: register a function with "
        "@sweeps.scales.smaller.register, or run it as it is with --scale own."
    )


@smaller.register
def _(model: PerceiverConfig) -> Model:
    return replace(
        model,
        inputs=_digit(model.inputs),
        num_latents=round(model.num_latents * SHRINK),
        latent_channels=round(model.latent_channels * SHRINK),
        self_attends_per_block=-(-model.self_attends_per_block // 6),
        self_heads=4,
        num_classes=10,
    )


@smaller.register
def _(model: ResNet) -> Model:
    return replace(
        model,
        inputs=_digit(model.inputs),
        depths=(1, 1),
        widths=(16, 16),
        residual="basic",
        stem="3x3",
        stem_width=16,
        num_classes=10,
    )


@smaller.register
def _(model: ViT) -> Model:
    return replace(
        model, inputs=_digit(model.inputs), patch=2, width=64, depth=2, heads=4, widening=2, num_classes=10
    )


@smaller.register
def _(model: Transformer) -> Model:
    return replace(model, inputs=_digit(model.inputs), grid=None, width=48, depth=2, heads=2, num_classes=10)


def _digit(inputs: object) -> Image:
    """The same kind of pixels, 8 x 8 x 1, with bands up to the Nyquist frequency of 8 pixels."""
    assert isinstance(inputs, Image)
    positions = inputs.positions
    if isinstance(positions, Fourier):
        positions = replace(positions, bands=max(1, positions.bands // 8), max_resolution=8)
    elif isinstance(positions, Learned):
        positions = replace(positions, channels=max(1, positions.channels // 8))
    return replace(inputs, height=8, width=8, channels=1, positions=positions, pixels=None)


paper = Scale("paper", _as_stated, seeds=(0, 1, 2), caption="the paper's data, sizes and recipe")
own = Scale(
    "own", _as_stated, seeds=(0, 1, 2), caption="as the experiment states itself; compared with nothing"
)
laptop = Scale(
    "laptop",
    _on_digits,
    seeds=(0, 1, 2, 3, 4),
    caption="handwritten digits of 8 x 8 pixels and models a thousand times smaller; "
    "tests claims, not the paper's values",
)

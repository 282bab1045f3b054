"""ImageNet's comparison at laptop scale: PairScenes, where only places tell the classes apart.

Sizes and recipe are chosen by hand, so that each trains in 20 seconds of one core.

    lab data prepare pairscenes
    lab train pairscenes.fourier
"""

from __future__ import annotations

from dataclasses import replace

from lab import AdamW, Classification, CosineAfter, Epochs, Evaluation, ExperimentSpec
from perceiver import Fourier, Image, PerceiverConfig, variants
from perceiver.baselines import ResNet, ViT
from pipelines.data import PairScenes
from pipelines.data.imagenet import PIXELS

CLASSES = PairScenes().num_classes


def fourier() -> ExperimentSpec:
    """Perceiver with Fourier positions."""
    model = replace(
        variants.imagenet(cross_attends=2),
        inputs=pixels(),
        num_latents=16,
        latent_channels=32,
        blocks=2,
        self_attends_per_block=1,
        self_heads=4,
        num_classes=CLASSES,
    )
    return recipe(model, lr=5e-3)


def no_positions() -> ExperimentSpec:
    """Perceiver that sees a bag of pixels: chance."""
    spec = fourier()
    return spec.override({"model.inputs.positions": None})


def resnet() -> ExperimentSpec:
    """ResNet of three stages on pixels with Fourier features."""
    model = ResNet(
        inputs=pixels(),
        depths=(1, 1, 1),
        widths=(16, 32, 32),
        residual="basic",
        stem="3x3",
        stem_width=16,
        num_classes=CLASSES,
    )
    return recipe(model, lr=5e-3)


def vit() -> ExperimentSpec:
    """ViT of two layers on patches of 4 x 4 pixels with Fourier features."""
    model = ViT(inputs=pixels(), patch=4, width=64, depth=2, heads=4, widening=2, num_classes=CLASSES)
    return recipe(model, lr=2e-3)


def recipe(model: PerceiverConfig | ResNet | ViT, lr: float) -> ExperimentSpec:
    """A model under a recipe for 378 steps."""
    return ExperimentSpec(
        model=model,
        data=PairScenes(),
        task=Classification(label_smoothing=0.1),
        optimizer=AdamW(lr=lr, weight_decay=0.01),
        schedule=CosineAfter(flat=0.0),
        duration=Epochs(6),
        batch_size=64,
        evaluation=Evaluation(every=Epochs(3), splits=("validation", "test")),
    )


def pixels() -> Image:
    """32 x 32 RGB pixels with 4 bands up to their Nyquist frequency."""
    return Image(32, 32, positions=Fourier(bands=4, max_resolution=32), pixels=PIXELS)

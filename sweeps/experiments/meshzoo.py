"""ModelNet40's comparison at laptop scale: MeshZoo, clouds of 256 points of ten kinds of meshes.

Sizes and recipe are chosen by hand, so that each trains in half a minute of one core.

    lab data prepare meshzoo
    lab train meshzoo.fourier
"""

from __future__ import annotations

from dataclasses import replace

from lab import AdamW, Classification, CosineAfter, Epochs, Evaluation, ExperimentSpec
from perceiver import Fourier, PerceiverConfig, Points, variants
from pipelines.data import MeshZoo


def fourier() -> ExperimentSpec:
    """Perceiver on Fourier features of the coordinates."""
    data = MeshZoo()
    model = replace(
        variants.modelnet40(),
        inputs=Points(data.points, positions=Fourier(bands=8, max_resolution=16)),
        num_latents=16,
        latent_channels=32,
        self_attends_per_block=1,
        self_heads=4,
        num_classes=data.num_classes,
    )
    return recipe(model)


def no_positions() -> ExperimentSpec:
    """Perceiver on the coordinates as they are."""
    return fourier().override({"model.inputs.positions": None})


def recipe(model: PerceiverConfig) -> ExperimentSpec:
    """A model under a recipe for 1,200 steps."""
    return ExperimentSpec(
        model=model,
        data=MeshZoo(),
        task=Classification(label_smoothing=0.1),
        optimizer=AdamW(lr=3e-3, weight_decay=0.01),
        schedule=CosineAfter(flat=0.0),
        duration=Epochs(30),
        batch_size=50,
        evaluation=Evaluation(every=Epochs(10), splits=("validation", "test")),
    )

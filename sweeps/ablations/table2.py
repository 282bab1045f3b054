"""Table 2: pixels in order and in one fixed, shared, random order, for every model and kind of position."""

from __future__ import annotations

from lab import Ablation, Case, Scale
from perceiver import PerceiverConfig
from perceiver.baselines import Transformer
from sweeps.experiments import imagenet

PERMUTATION = 0
"""Seed of the one permutation that all images, models and seeds share."""

ROWS = {
    "ResNet (FF)": imagenet.resnet,
    "ViT (FF)": imagenet.vit,
    "Transformer (FF)": imagenet.transformer,
    "Perceiver (FF)": imagenet.fourier,
    "Perceiver (learned pos.)": imagenet.learned,
    "Perceiver (no pos.)": imagenet.no_positions,
}
ORDER_BLIND = (PerceiverConfig, Transformer)
"""Models that take a set of elements: a permutation is the same function, and the same run (shown in
tests/perceiver). What a ResNet and a ViT make of it depends on the places."""


def sweep(scale: Scale) -> Ablation:
    """Two cases per row: raw, and permuted after the positions are attached."""
    cases = []
    for label, experiment in ROWS.items():
        spec = scale(experiment())
        changes = {} if isinstance(spec.model, ORDER_BLIND) else {"model.inputs.permutation": PERMUTATION}
        cases += [Case(f"{label} raw", spec), Case(f"{label} permuted", spec.override(changes), changes)]
    return Ablation("table2", scale.name, tuple(cases), scale.seeds)

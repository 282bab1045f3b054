"""Table 1: ImageNet as it is, for the Perceiver and its rivals, with Fourier features and on bare pixels."""

from __future__ import annotations

from lab import Ablation, Case, Scale
from sweeps.experiments import imagenet

ROWS = {
    "ResNet": imagenet.resnet_pixels,
    "ViT": imagenet.vit_pixels,
    "ResNet (FF)": imagenet.resnet,
    "ViT (FF)": imagenet.vit,
    "Transformer (FF)": imagenet.transformer,
    "Perceiver (FF)": imagenet.fourier,
}


def sweep(scale: Scale) -> Ablation:
    """One case per row. Those with Fourier features are the raw ones of Table 2."""
    cases = tuple(Case(label, scale(experiment())) for label, experiment in ROWS.items())
    return Ablation("table1", scale.name, cases, scale.seeds)

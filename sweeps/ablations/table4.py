"""Table 4: ModelNet40's clouds, as sets and on random grids, for the Perceiver and its rivals."""

from __future__ import annotations

from lab import Ablation, Case, Scale
from sweeps.experiments import modelnet40

ROWS = {
    "PointNet++": modelnet40.pointnet,
    "ResNet (FF)": modelnet40.resnet,
    "ViT-2 (FF)": modelnet40.vit2,
    "ViT-4 (FF)": modelnet40.vit4,
    "ViT-8 (FF)": modelnet40.vit8,
    "ViT-16 (FF)": modelnet40.vit16,
    "Transformer": modelnet40.transformer,
    "Perceiver": modelnet40.perceiver,
}


def sweep(scale: Scale) -> Ablation:
    """One case per row; the numbers are the patch sizes."""
    cases = tuple(Case(label, scale(experiment())) for label, experiment in ROWS.items())
    return Ablation("table4", scale.name, cases, scale.seeds)

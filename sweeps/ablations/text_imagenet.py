"""What the paper says of ImageNet without numbers: kinds of positions, and sharing the first cross-attend."""

from __future__ import annotations

from typing import Any

from lab import Ablation, Case, Scale
from sweeps.experiments import imagenet

FOURIER: dict[str, dict[str, Any]] = {
    "main model": {},
    "log-spaced bands": {"model.inputs.positions.spacing": "log"},
    "positions added": {"model.inputs.combine": "add"},
    "first cross-attend shared": {"model.sharing": "all"},
}
LEARNED: dict[str, dict[str, Any]] = {
    "learned positions": {},
    "learned positions, 8 cross-attends": {"model.cross_attends": 8},
    "learned positions, initial scale 0.02": {"model.inputs.positions.init_std": 0.02},
}


def sweep(scale: Scale) -> Ablation:
    """Changes of the main model, and of the one with learned positions, which has one cross-attend."""
    cases = [
        Case(label, base.override(changes), changes)
        for base, rows in ((scale(imagenet.fourier()), FOURIER), (scale(imagenet.learned()), LEARNED))
        for label, changes in rows.items()
    ]
    return Ablation("text_imagenet", scale.name, tuple(cases), scale.seeds)

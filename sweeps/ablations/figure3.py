"""Figure 3: the main model, whose attention maps are drawn."""

from __future__ import annotations

from lab import Ablation, Case, Scale
from sweeps.experiments import imagenet


def sweep(scale: Scale) -> Ablation:
    """One case, the Perceiver of Tables 1 and 2."""
    return Ablation("figure3", scale.name, (Case("Perceiver (FF)", scale(imagenet.fourier())),), scale.seeds)

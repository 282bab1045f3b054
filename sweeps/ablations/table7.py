"""Table 7: weights shared between the depths of the network, or not."""

from __future__ import annotations

from lab import Ablation, Case, Scale
from sweeps.experiments import imagenet


def sweep(scale: Scale) -> Ablation:
    """The best ImageNet model with and without sharing; its last measurement includes the training split."""
    base = scale(imagenet.fourier())
    cases = tuple(
        Case(label, base.override(changes), changes)
        for label, changes in {
            "no sharing": {"model.sharing": "none"},
            "sharing": {"model.sharing": "published"},
        }.items()
    )
    return Ablation("table7", scale.name, cases, scale.seeds)

"""Table 7: weights shared between the depths of the network, or not."""

from __future__ import annotations

from lab import Ablation, Case, Scale
from perceiver import PerceiverConfig
from sweeps.experiments import imagenet


def sweep(scale: Scale) -> Ablation:
    """The best ImageNet model with and without sharing; its last measurement includes the training split."""
    base = scale(imagenet.fourier())
    assert isinstance(base.model, PerceiverConfig)
    modes = {"no sharing": "none", "sharing": base.model.sharing}
    cases = tuple(
        Case(label, base.override({"model.sharing": mode}), {"model.sharing": mode})
        for label, mode in modes.items()
    )
    return Ablation("table7", scale.name, cases, scale.seeds)

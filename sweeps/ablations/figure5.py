"""Figure 5: latents, channels, self-attends per block and cross-attends, each alone, around a small model."""

from __future__ import annotations

from lab import Ablation, Case, Scale
from perceiver import PerceiverConfig, variants
from sweeps.axes import in_proportion
from sweeps.experiments import imagenet

BASE = "base"


def sweep(scale: Scale) -> Ablation:
    """The base, which all panels share, and the other values of each. At every scale sizes keep the
    proportions to the base that the paper's have; a cross-attend more is one more."""
    base, stated = scale(imagenet.figure5()), variants.figure5_base()
    assert isinstance(base.model, PerceiverConfig)
    cases = [Case(BASE, base)]
    for field, values in variants.figure5().items():
        for value in values:
            if value == getattr(stated, field):
                continue
            if field == "cross_attends":
                changes = {"model.cross_attends": value, "model.blocks": value}
            else:
                size = in_proportion(value, getattr(stated, field), getattr(base.model, field))
                changes = {f"model.{field}": size}
            cases.append(Case(f"{field} {value}", base.override(changes), changes))
    return Ablation("figure5", scale.name, tuple(cases), scale.seeds)

"""How many Fourier bands a cloud wants: the paper found 64 best, and more than 256 to overfit."""

from __future__ import annotations

from lab import Ablation, Case, Scale
from perceiver import Fourier, PerceiverConfig, Points, variants
from sweeps.axes import in_proportion
from sweeps.experiments import modelnet40

BANDS = (16, 64, 256)
"""64 and 256 are stated, section 4.3; 16 is assumed."""


def sweep(scale: Scale) -> Ablation:
    """The paper's bands, in proportion to those of the scale."""
    base = scale(modelnet40.perceiver())
    stated, here = _bands(variants.modelnet40()), _bands(base.model)
    cases = []
    for bands in BANDS:
        changes = {"model.inputs.positions.bands": in_proportion(bands, stated, here)}
        cases.append(Case(f"{bands} bands", base.override(changes), changes))
    return Ablation("text_modelnet40", scale.name, tuple(cases), scale.seeds)


def _bands(model: object) -> int:
    assert isinstance(model, PerceiverConfig)
    assert isinstance(model.inputs, Points)
    assert isinstance(model.inputs.positions, Fourier)
    return model.inputs.positions.bands

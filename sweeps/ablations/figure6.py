"""Figure 6: the scale of the latents' initial values, the Fourier bands, and their maximum resolution."""

from __future__ import annotations

from typing import Any

from lab import Ablation, Case, ExperimentSpec, Scale
from perceiver import Fourier, Image, PerceiverConfig, variants
from sweeps.axes import in_proportion
from sweeps.experiments import imagenet

BASE = "base"
POSITIONS = "model.inputs.positions"
SPACED_BOTH_WAYS = (32, 64)


def sweep(scale: Scale) -> Ablation:
    """The base, which all panels share, the other values of each, and the most bands with both spacings (the
    fewest have one). Bands and resolution keep the paper's proportions to the base."""
    base, panels = scale(imagenet.figure6()), variants.figure6()
    here, stated = _positions(base.model), _positions(variants.imagenet())
    cases = [Case(BASE, base)]
    for std in panels["latent_init_std"]:
        if std != variants.imagenet().latent_init_std:
            cases.append(_case(base, f"latent_init_std {std:g}", {"model.latent_init_std": std}))
    for bands in panels["bands"]:
        changes: dict[str, Any] = {
            f"{POSITIONS}.bands": in_proportion(int(bands), stated.bands, here.bands),
        }
        if bands != stated.bands:
            cases.append(_case(base, f"bands {bands:g}", changes))
        if bands in SPACED_BOTH_WAYS:
            cases.append(_case(base, f"bands {bands:g} log", changes | {f"{POSITIONS}.spacing": "log"}))
    highest, most = here.resolutions(2)[0], stated.resolutions(2)[0]
    for resolution in panels["max_resolution"]:
        if resolution != most:
            changes = {f"{POSITIONS}.max_resolution": resolution * highest / most}
            cases.append(_case(base, f"max_resolution {resolution:g}", changes))
    return Ablation("figure6", scale.name, tuple(cases), scale.seeds)


def _case(base: ExperimentSpec, label: str, changes: dict[str, Any]) -> Case:
    return Case(label, base.override(changes), changes)


def _positions(model: object) -> Fourier:
    assert isinstance(model, PerceiverConfig)
    assert isinstance(model.inputs, Image)
    assert isinstance(model.inputs.positions, Fourier)
    return model.inputs.positions

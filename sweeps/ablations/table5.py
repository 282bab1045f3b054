"""Table 5: cross-attends alone, without latent Transformers, none of them shared."""

from __future__ import annotations

from lab import Ablation, Case, Scale
from perceiver import variants
from sweeps.experiments import imagenet


def sweep(scale: Scale) -> Ablation:
    """4, 8 and 12 cross-attends; the paper's 12 did not fit into the memory of 64 TPUs."""
    specs = {n: scale(imagenet.recipe(variants.no_latent_transformer(n))) for n in (4, 8, 12)}
    cases = tuple(Case(f"{n} cross-attends", spec) for n, spec in specs.items())
    return Ablation("table5", scale.name, cases, scale.seeds)

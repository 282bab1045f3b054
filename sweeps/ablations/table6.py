"""Table 6: how many cross-attends, and where: all at the start, or spread between the latent Transformers."""

from __future__ import annotations

from lab import Ablation, Case, Scale
from sweeps.experiments import imagenet


def sweep(scale: Scale) -> Ablation:
    """1, 2, 4 and 8 cross-attends in both placements. With one they are the same network and run."""
    base = scale(imagenet.fourier())
    cases = []
    for number in (1, 2, 4, 8):
        for label, placement in {"at start": "at_start", "interleaved": "interleaved"}.items():
            changes: dict[str, object] = {"model.cross_attends": number}
            if number > 1:
                changes["model.placement"] = placement
            cases.append(Case(f"{number} {label}", base.override(changes), changes))
    return Ablation("table6", scale.name, tuple(cases), scale.seeds)

"""LAMB against SGD at three learning rates each; the paper found LAMB easier and gives no numbers."""

from __future__ import annotations

from dataclasses import replace

from lab import Ablation, Case, Lamb, Scale, Sgd
from sweeps.experiments import imagenet

RATES = {"LAMB": (0.001, 0.004, 0.016), "SGD": (0.025, 0.1, 0.4)}
"""Around the stated one and around SGD's customary one, four times less and more (assumed)."""


def sweep(scale: Scale) -> Ablation:
    """The main model under both; nothing else is tuned for either."""
    base = scale(imagenet.fourier())
    kinds = {"LAMB": Lamb, "SGD": Sgd}
    cases = tuple(
        Case(f"{name} at {rate:g}", replace(base, optimizer=kinds[name](lr=rate)))
        for name, rates in RATES.items()
        for rate in rates
    )
    return Ablation("text_optimizers", scale.name, cases, scale.seeds)

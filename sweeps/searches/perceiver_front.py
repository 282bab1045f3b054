"""What accuracy costs: the front of validation accuracy against FLOPs over the same four axes."""

from __future__ import annotations

from lab import Confirm, Nsga2, Scale, Search
from perceiver import PerceiverConfig
from sweeps.experiments import imagenet
from sweeps.searches.perceiver import Space


def sweep(scale: Scale) -> Search:
    """NSGA-II for both at once, after what the search `perceiver` has trained to the end."""
    base = scale(imagenet.fourier())
    assert isinstance(base.model, PerceiverConfig)
    return Search(
        "perceiver_front",
        scale.name,
        base,
        Space(base.model),
        objective="validation/top1",
        costs=("flops",),
        trials=16,
        sampler=Nsga2(population=8),
        warm=("perceiver",),
        confirm=Confirm(best=3, seeds=(1, 2, 3)),
    )

"""The search of the paper's four axes: latent size, depth, weight sharing and Fourier bands."""

from __future__ import annotations

from typing import Any

from lab import Asha, Confirm, Scale, Search, Suggest
from perceiver import Fourier, Image, PerceiverConfig
from sweeps.experiments import imagenet


class Space:
    """Changes around a base Perceiver, sized by it: the same space at every scale.

    Latents and channels go from a quarter to one and a half of the base's. Interleaved cross-attends must
    divide the blocks, so their number is chosen among those that do: no suggestion is invalid. Sharing is
    asked only where there is something to share."""

    def __init__(self, base: PerceiverConfig) -> None:
        self.base = base

    def __call__(self, suggest: Suggest) -> dict[str, Any]:
        base = self.base
        assert isinstance(base.inputs, Image)
        assert isinstance(base.inputs.positions, Fourier)
        bands = base.inputs.positions.bands
        blocks = suggest.choice(
            "model.blocks", sorted({max(1, base.blocks // 4), base.blocks // 2 or 1, base.blocks})
        )
        divisors = [n for n in range(1, blocks + 1) if blocks % n == 0]
        changes = {
            "model.num_latents": suggest.choice("model.num_latents", _around(base.num_latents)),
            "model.latent_channels": suggest.choice("model.latent_channels", _around(base.latent_channels)),
            "model.blocks": blocks,
            "model.cross_attends": suggest.choice("model.cross_attends", divisors, given=blocks),
            "model.inputs.positions.bands": suggest.integer("model.inputs.positions.bands", 1, 2 * bands),
        }
        if blocks > 1:
            changes["model.sharing"] = suggest.choice("model.sharing", ["published", "none"])
        return changes


def sweep(scale: Scale) -> Search:
    """TPE over the four axes with ASHA, judged on the validation split; the best two on fresh seeds."""
    base = scale(imagenet.fourier())
    assert isinstance(base.model, PerceiverConfig)
    return Search(
        "perceiver",
        scale.name,
        base,
        Space(base.model),
        objective="validation/top1",
        trials=12,
        pruning=Asha(grace=1),
        confirm=Confirm(best=2, seeds=(1, 2, 3)),
    )


def _around(value: int) -> list[int]:
    return [value // 4, value // 2, value, value * 3 // 2]

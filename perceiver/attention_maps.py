"""Where the latents look: the weights of every cross-attend on the elements of the inputs (paper, Figure 3).

    maps = attention_maps(model, images)     one (b, m) per cross-attend, the mean over heads and latents
    on_grids(model, maps[0])["inputs"]       (b, height, width)

The weights are computed anew from each cross-attend's projections: the fast paths never hold them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from perceiver.attention import CrossAttend
from perceiver.elements import GridElements
from perceiver.fusion import FusedElements, Fusion
from perceiver.io_inputs import ByteElements, ConvolvedElements, LiftedElements
from perceiver.model import Perceiver


@torch.no_grad()
def attention_maps(
    model: Perceiver, raw: Tensor | Mapping[str, Tensor], *, per_latent: bool = False
) -> list[Tensor]:
    """Weights on the elements of a raw batch, one tensor per cross-attend in the order they are applied.

    (b, m), the mean over heads and latents, or (b, h, n, m) with `per_latent`; every row sums to 1. On
    ImageNet the latter takes 103 MB per cross-attend and image. In an unrolled model what a cross-attend does
    not see has weight 0. Raises InputError.
    """
    maps: list[Tensor] = []
    kept: Tensor | None = None

    def look(attend: nn.Module, arguments: tuple[Any, ...]) -> None:
        assert isinstance(attend, CrossAttend)
        weights = attention_weights(attend, arguments[0], elements, part(len(maps)))
        maps.append(weights if per_latent else reduce(weights, "b h n m -> b m", "mean"))

    def part(number: int) -> Tensor | None:
        """Which elements (b, m) that cross-attend sees; None for all."""
        if not model.config.unrolled:
            return kept
        place = torch.arange(elements.shape[1], device=elements.device) // model.config.seen_elements
        return (place == number).expand(len(elements), -1)

    training = model.training
    model.eval()
    hooks = [attend.register_forward_pre_hook(look) for attend in model.cross_attends]
    try:
        elements = model.inputs(raw).to(model.latents.dtype)
        if isinstance(model.inputs, ByteElements) and isinstance(raw, Tensor):
            kept = model.inputs.kept(raw)
        model(raw)
    finally:
        for hook in hooks:
            hook.remove()
        model.train(training)
    return maps


def attention_weights(
    attend: CrossAttend, latents: Tensor, elements: Tensor, kept: Tensor | None = None
) -> Tensor:
    """Weights (b, h, n, m) of latents (b, n, d) on elements (b, m, c), of which only the `kept` are seen."""
    query = rearrange(attend.query(attend.norm_latents(latents)), "b n (h c) -> b h n c", h=attend.heads)
    key = rearrange(attend.key(attend.norm_inputs(elements)), "b m (h c) -> b h m c", h=attend.heads)
    scores: Tensor = query @ key.mT * query.shape[-1] ** -0.5
    if kept is not None:
        scores = scores.masked_fill(~kept[:, None, None], -torch.inf)
    return scores.softmax(dim=-1)


def on_grids(model: Perceiver, attention: Tensor) -> dict[str, Tensor]:
    """A map (..., m) on the grid of the elements (..., *axes), by modality; a single one is called "inputs".

    A permutation of the elements is undone. Points and bytes have one axis.
    """
    by_name = streams(model)
    parts = torch.split(attention, [number for _, number in by_name.values()], dim=-1)
    return {
        name: _on_grid(stream, part) for (name, (stream, _)), part in zip(by_name.items(), parts, strict=True)
    }


def streams(model: Perceiver) -> dict[str, tuple[nn.Module, int]]:
    """The module that makes the elements of each modality, and their number."""
    inputs = model.config.inputs
    if isinstance(inputs, Fusion) and isinstance(model.inputs, FusedElements):
        return {m.name: (model.inputs.streams[m.name], m.inputs.elements) for m in inputs.modalities}
    return {"inputs": (model.inputs, inputs.elements)}


def _on_grid(elements: nn.Module, attention: Tensor) -> Tensor:
    match elements:
        case GridElements():
            order = elements.permutation
            return _reshape(attention if order is None else attention[..., order.argsort()], elements.axes)
        case ConvolvedElements():
            return _on_grid(elements.image, attention)
        case LiftedElements():
            return _reshape(attention, elements.shape[:2])
        case _:
            return attention


def _reshape(attention: Tensor, axes: tuple[int, ...]) -> Tensor:
    return attention.reshape(*attention.shape[:-1], *axes)

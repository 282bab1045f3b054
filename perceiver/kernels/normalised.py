"""Attention to any elements, normalised once for every cross-attend of a forward pass.

With the projections folded away (`perceiver.kernels.projections`) keys and values are one tensor without
parameters. Latents are taken in blocks, so that the n x m logits never exist at once; the backward computes
them again, and multiplies only for the gradients that are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 1 << 23
"""Logits held at once: 32 MB in float32. Fewer, and the matrix products are slower."""


@dataclass(frozen=True, eq=False)
class NormalisedInputs:
    """Elements (b, m, c) without their mean and of unit variance over their channels."""

    elements: Tensor

    def attend(self, queries: Tensor) -> Tensor:
        """softmax(q zhat') zhat over the normalised elements zhat: queries (b, n, c) -> (b, n, c)."""
        q = queries.to(self.elements.dtype)
        on_cpu = q.device.type == "cpu"
        attended = _normalised_attend(q.contiguous(), self.elements) if on_cpu else _fused(q, self.elements)
        return attended.to(queries.dtype)


def normalise(elements: Tensor, *, eps: float = 1e-5) -> NormalisedInputs:
    """Normalise elements (b, m, c) once; under autocast they are kept in its precision."""
    normalised = F.layer_norm(elements, elements.shape[-1:], eps=eps)
    device = elements.device.type
    if torch.is_autocast_enabled(device):
        normalised = normalised.to(torch.get_autocast_dtype(device))
    return NormalisedInputs(normalised)


def _fused(queries: Tensor, elements: Tensor) -> Tensor:
    """PyTorch's fused attention; it wants channels in eights (261 becomes 264)."""
    padding = (0, -queries.shape[-1] % 8)
    q, kv = (F.pad(x, padding)[:, None] for x in (queries, elements))
    return F.scaled_dot_product_attention(q, kv, kv, scale=1.0)[:, 0, :, : queries.shape[-1]]


def _blocks(queries: Tensor, elements: Tensor) -> Iterator[tuple[tuple[slice, slice], Tensor, Tensor]]:
    """Images and latents whose logits make a block, and room, twice, for them (images, latents, m).

    The room is the same for all blocks: new memory would have to be mapped, which takes as long as softmax.
    """
    (b, n, _), m = queries.shape, elements.shape[1]
    latents = min(n, max(1, BLOCK // m))
    images = min(b, max(1, BLOCK // (m * latents)))
    room = queries.new_empty(2, images * latents * m)
    for image in range(0, b, images):
        for latent in range(0, n, latents):
            size = min(images, b - image), min(latents, n - latent), m
            first, second = room[:, : size[0] * size[1] * m].view(2, *size)
            yield (slice(image, image + images), slice(latent, latent + latents)), first, second


def _weights(queries: Tensor, elements: Tensor, room: Tensor) -> Tensor:
    """softmax(q z'), into the room."""
    torch.bmm(queries, elements.mT, out=room)
    return torch.softmax(room, dim=-1, out=room)


@torch.library.custom_op("perceiver::normalised_attend", mutates_args=())
def _normalised_attend(queries: Tensor, elements: Tensor) -> Tensor:
    out = torch.empty_like(queries)
    with torch.autocast(queries.device.type, enabled=False):
        for block, room, _ in _blocks(queries, elements):
            z = elements[block[0]]
            out[block] = _weights(queries[block], z, room) @ z
    return out


@torch.library.custom_op("perceiver::normalised_attend_backward", mutates_args=())
def _normalised_attend_backward(
    grad: Tensor, queries: Tensor, elements: Tensor, elements_too: bool
) -> tuple[Tensor, Tensor]:
    """Gradients of queries and elements; the latter empty unless asked for: two of five products saved."""
    grad_queries = torch.empty_like(queries)
    grad_elements = torch.zeros_like(elements) if elements_too else elements.new_empty(0)
    with torch.autocast(queries.device.type, enabled=False):
        for block, room, more_room in _blocks(queries, elements):
            q, g, z = queries[block], grad[block], elements[block[0]]
            weights = _weights(q, z, room)
            torch.bmm(g, z.mT, out=more_room)
            change = torch.ops.aten._softmax_backward_data(more_room, weights, -1, weights.dtype)
            grad_queries[block] = change @ z
            if elements_too:
                grad_elements[block[0]] += change.mT @ q + weights.mT @ g
    return grad_queries, grad_elements


@_normalised_attend.register_fake
def _(queries: Tensor, elements: Tensor) -> Tensor:
    return torch.empty_like(queries)


@_normalised_attend_backward.register_fake
def _(grad: Tensor, queries: Tensor, elements: Tensor, elements_too: bool) -> tuple[Tensor, Tensor]:
    grad_elements = torch.empty_like(elements) if elements_too else elements.new_empty(0)
    return torch.empty_like(queries), grad_elements


def _save(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None]:
    queries, elements = ctx.saved_tensors
    too = ctx.needs_input_grad[1]
    grad_queries, grad_elements = _normalised_attend_backward(grad.contiguous(), queries, elements, too)
    return grad_queries, grad_elements if too else None


_normalised_attend.register_autograd(_differentiate, setup_context=_save)

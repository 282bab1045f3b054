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

BLOCK = 1 << 22
"""Logits held at once: 16 MB in float32. Matrix products of fewer rows are slower."""


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


def _blocks(queries: Tensor, elements: Tensor) -> Iterator[tuple[slice, slice]]:
    """Images and latents whose logits make a block."""
    (b, n, _), m = queries.shape, elements.shape[1]
    latents = min(n, max(1, BLOCK // m))
    images = max(1, BLOCK // (m * latents))
    for image in range(0, b, images):
        for latent in range(0, n, latents):
            yield slice(image, image + images), slice(latent, latent + latents)


def _weights(queries: Tensor, elements: Tensor) -> Tensor:
    """softmax(q z'), at least in float32."""
    logits = queries @ elements.mT
    return torch.softmax(logits, -1, dtype=torch.promote_types(logits.dtype, torch.float32))


@torch.library.custom_op("perceiver::normalised_attend", mutates_args=())
def _normalised_attend(queries: Tensor, elements: Tensor) -> Tensor:
    out = torch.empty_like(queries)
    with torch.autocast(queries.device.type, enabled=False):
        for block in _blocks(queries, elements):
            z = elements[block[0]]
            out[block] = _weights(queries[block], z).to(z.dtype) @ z
    return out


@torch.library.custom_op("perceiver::normalised_attend_backward", mutates_args=())
def _normalised_attend_backward(
    grad: Tensor, queries: Tensor, elements: Tensor, out: Tensor, elements_too: bool
) -> tuple[Tensor, Tensor]:
    """Gradients of queries and elements; the latter empty unless asked for: two of five products saved."""
    grad_queries = torch.empty_like(queries)
    grad_elements = torch.zeros_like(elements) if elements_too else elements.new_empty(0)
    with torch.autocast(queries.device.type, enabled=False):
        for block in _blocks(queries, elements):
            q, g, z = queries[block], grad[block], elements[block[0]]
            weights = _weights(q, z)
            mean = (g * out[block]).sum(-1, keepdim=True, dtype=weights.dtype)
            change = (((g @ z.mT) - mean) * weights).to(z.dtype)
            grad_queries[block] = change @ z
            if elements_too:
                grad_elements[block[0]] += change.mT @ q + weights.to(z.dtype).mT @ g
    return grad_queries, grad_elements


@_normalised_attend.register_fake
def _(queries: Tensor, elements: Tensor) -> Tensor:
    return torch.empty_like(queries)


@_normalised_attend_backward.register_fake
def _(
    grad: Tensor, queries: Tensor, elements: Tensor, out: Tensor, elements_too: bool
) -> tuple[Tensor, Tensor]:
    grad_elements = torch.empty_like(elements) if elements_too else elements.new_empty(0)
    return torch.empty_like(queries), grad_elements


def _save(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs, output)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None]:
    queries, elements, out = ctx.saved_tensors
    too = ctx.needs_input_grad[1]
    grad_queries, grad_elements = _normalised_attend_backward(grad.contiguous(), queries, elements, out, too)
    return grad_queries, grad_elements if too else None


_normalised_attend.register_autograd(_differentiate, setup_context=_save)

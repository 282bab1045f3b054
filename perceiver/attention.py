"""The modules a Perceiver is made of (paper appendix C; docs/paper.md section 1.2).

Both attends normalise first and add to the latents twice: z1 = z + attend(..), z2 = z1 + mlp(norm(z1)). No
mask, no dropout.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from perceiver.initialise import lecun_linear
from perceiver.kernels import GridInputs, NormalisedInputs, Projections

Gelu = Literal["tanh", "exact"]


def attend(query: Tensor, key: Tensor, value: Tensor, *, heads: int, kept: Tensor | None = None) -> Tensor:
    """softmax(q k' / sqrt(channels per head)) v; query (b, n, k), key (b, m, k), value (b, m, v) -> (b, n, v)

    The scale is that of the official code; the paper's formula omits it. Where `kept` (b, m) is False,
    nothing is taken from the element.
    """
    q, k, v = (rearrange(x, "b i (h c) -> b h i c", h=heads) for x in (query, key, value))
    if q.device.type == "cpu" and torch.is_grad_enabled():
        # The fused attention's backward is slower on CPUs than these two products.
        scores = (q * q.shape[-1] ** -0.5) @ k.mT
        if kept is not None:
            scores = scores.masked_fill(~kept[:, None, None], -torch.inf)
        attended = torch.softmax(scores, dim=-1) @ v
    else:
        mask = None if kept is None else kept[:, None, None]
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    merged: Tensor = rearrange(attended, "b h i c -> b i (h c)")
    return merged


def perceptron(width: int, widening: int, gelu: Gelu) -> nn.Sequential:
    """Linear, GELU, Linear; the paper's widening is 1. The official code's GELU is the tanh approximation."""
    return nn.Sequential(
        lecun_linear(width, widening * width),
        nn.GELU(approximate="tanh" if gelu == "tanh" else "none"),
        lecun_linear(widening * width, width),
    )


class CrossAttend(nn.Module):
    """Latents (b, n, d) take from elements (b, m, c); queries, keys and values are `qkv` wide.

    In Perceiver IO the values may have another width, and a decoder may go without the first residual.
    """

    def __init__(
        self,
        latents: int,
        inputs: int,
        *,
        qkv: int,
        heads: int,
        widening: int,
        gelu: Gelu,
        values: int | None = None,
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.heads, self.residual = heads, residual
        values = values or qkv
        self.norm_latents = nn.LayerNorm(latents)
        self.norm_inputs = nn.LayerNorm(inputs)
        self.query = lecun_linear(latents, qkv)
        self.key = lecun_linear(inputs, qkv)
        self.value = lecun_linear(inputs, values)
        self.out = lecun_linear(values, latents)
        self.norm_mlp = nn.LayerNorm(latents)
        self.mlp = perceptron(latents, widening, gelu)

    def forward(
        self,
        latents: Tensor,
        elements: Tensor | NormalisedInputs | GridInputs,
        kept: Tensor | None = None,
    ) -> Tensor:
        """New latents (b, n, d), from the elements that are `kept` (b, m), or from all.

        Prepared elements, from which all is taken, cost less and give the same (`perceiver.kernels`).
        """
        query = self.query(self.norm_latents(latents))
        if isinstance(elements, Tensor):
            inputs = self.norm_inputs(elements)
            taken = attend(query, self.key(inputs), self.value(inputs), heads=self.heads, kept=kept)
        else:
            assert kept is None
            projections = self.projections()
            taken = projections.unfold_context(elements.attend(projections.fold_query(query)))
        taken = self.out(taken)
        latents = latents + taken if self.residual else taken
        refined: Tensor = latents + self.mlp(self.norm_mlp(latents))
        return refined

    def projections(self) -> Projections:
        """What keys and values are made with."""
        return Projections(
            norm_scale=self.norm_inputs.weight,
            norm_offset=self.norm_inputs.bias,
            key_weight=self.key.weight,
            key_bias=self.key.bias,
            value_weight=self.value.weight,
            value_bias=self.value.bias,
            heads=self.heads,
        )


class SelfAttend(nn.Module):
    """Latents (b, n, d) take from each other; queries and keys are `qk` wide, by default as the latents."""

    def __init__(self, latents: int, *, heads: int, widening: int, gelu: Gelu, qk: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(latents)
        self.query = lecun_linear(latents, qk or latents)
        self.key = lecun_linear(latents, qk or latents)
        self.value = lecun_linear(latents, latents)
        self.out = lecun_linear(latents, latents)
        self.norm_mlp = nn.LayerNorm(latents)
        self.mlp = perceptron(latents, widening, gelu)

    def forward(self, latents: Tensor) -> Tensor:
        """New latents (b, n, d)."""
        z = self.norm(latents)
        latents = latents + self.out(attend(self.query(z), self.key(z), self.value(z), heads=self.heads))
        refined: Tensor = latents + self.mlp(self.norm_mlp(latents))
        return refined


class LatentTransformer(nn.Sequential):
    """Self-attends, one after the other: a block."""

    def forward(self, latents: Tensor, *, checkpointing: bool = False) -> Tensor:
        """New latents (b, n, d). With `checkpointing`, what a self-attend makes on its way is computed again
        in the backward pass instead of being kept; nothing is random, so that no random state is kept either.
        """
        for self_attend in self:
            if checkpointing and torch.is_grad_enabled():
                latents = checkpoint(self_attend, latents, use_reentrant=False, preserve_rng_state=False)
            else:
                latents = self_attend(latents)
        return latents

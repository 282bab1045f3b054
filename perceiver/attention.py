"""The two modules a Perceiver is made of (paper appendix C; docs/paper.md section 1.2).

Both normalise first and add to the latents twice: z1 = z + attend(..), z2 = z1 + mlp(norm(z1)). No mask, no
dropout.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from perceiver.initialise import lecun_linear

Gelu = Literal["tanh", "exact"]


def attend(query: Tensor, key: Tensor, value: Tensor, *, heads: int) -> Tensor:
    """softmax(q k' / sqrt(channels per head)) v; query (b, n, c), key and value (b, m, c) -> (b, n, c).

    The scale is that of the official code; the paper's formula omits it.
    """
    q, k, v = (rearrange(x, "b i (h c) -> b h i c", h=heads) for x in (query, key, value))
    if q.device.type == "cpu" and torch.is_grad_enabled():
        # The fused attention's backward is slower on CPUs than these two products.
        weights = torch.softmax((q * q.shape[-1] ** -0.5) @ k.mT, dim=-1)
        attended = weights @ v
    else:
        attended = F.scaled_dot_product_attention(q, k, v)
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
    """Latents (b, n, d) take from elements (b, m, c); queries, keys and values are `qkv` wide."""

    def __init__(self, latents: int, inputs: int, *, qkv: int, heads: int, widening: int, gelu: Gelu) -> None:
        super().__init__()
        self.heads = heads
        self.norm_latents = nn.LayerNorm(latents)
        self.norm_inputs = nn.LayerNorm(inputs)
        self.query = lecun_linear(latents, qkv)
        self.key = lecun_linear(inputs, qkv)
        self.value = lecun_linear(inputs, qkv)
        self.out = lecun_linear(qkv, latents)
        self.norm_mlp = nn.LayerNorm(latents)
        self.mlp = perceptron(latents, widening, gelu)

    def forward(self, latents: Tensor, elements: Tensor) -> Tensor:
        """New latents (b, n, d)."""
        query = self.query(self.norm_latents(latents))
        inputs = self.norm_inputs(elements)
        latents = latents + self.out(attend(query, self.key(inputs), self.value(inputs), heads=self.heads))
        refined: Tensor = latents + self.mlp(self.norm_mlp(latents))
        return refined


class SelfAttend(nn.Module):
    """Latents (b, n, d) take from each other."""

    def __init__(self, latents: int, *, heads: int, widening: int, gelu: Gelu) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(latents)
        self.query = lecun_linear(latents, latents)
        self.key = lecun_linear(latents, latents)
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

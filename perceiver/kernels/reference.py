"""The plain formula, as the paper writes it: the oracle of the other paths. Any precision."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from perceiver.kernels.projections import Projections


def plain_attention(query: Tensor, elements: Tensor, projections: Projections) -> Tensor:
    """softmax(q k' / sqrt(k / h)) v with k = key(norm(z)), v = value(norm(z)); materialises all of it.

    Queries (b, n, k) and elements (b, m, c) -> (b, n, k).
    """
    p = projections
    normalised = F.layer_norm(elements, elements.shape[-1:], p.norm_scale, p.norm_offset, p.eps)
    key = F.linear(normalised, p.key_weight, p.key_bias)
    value = F.linear(normalised, p.value_weight, p.value_bias)
    q, k, v = (rearrange(x, "b i (h k) -> b h i k", h=p.heads) for x in (query, key, value))
    weights = torch.softmax(q * q.shape[-1] ** -0.5 @ k.mT, dim=-1)
    attended: Tensor = rearrange(weights @ v, "b h n k -> b n (h k)")
    return attended

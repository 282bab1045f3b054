"""What a cross-attend projects with, and how its projections move out of the way of the inputs.

Softmax ignores what is the same for all elements, and its rows sum to one. So the key projection and the
scale of the norm can be applied to the few queries, and the value projection to the few results, instead of
to the many elements; the key's offset and the norm's drop out of the logits exactly:

    q . key(norm(z))                =  (W_k' q * g) . zhat + what no softmax sees
    sum_m a_m value(norm(z_m))      =  W_v (g * sum_m a_m zhat_m + beta) + b_v
    zhat                            =  (z - mean(z)) / deviation(z), which has no parameters
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Projections:
    """The norm of the elements and the projections to keys and values (paper appendix C).

    norm_scale and norm_offset (c,), key_weight and value_weight (k, c), key_bias and value_bias (k,); `heads`
    divides k; `eps` is added to the variance in the norm.
    """

    norm_scale: Tensor
    norm_offset: Tensor
    key_weight: Tensor
    key_bias: Tensor
    value_weight: Tensor
    value_bias: Tensor
    heads: int = 1
    eps: float = 1e-5

    def fold_query(self, query: Tensor) -> Tensor:
        """Queries (b, n, k) as queries of normalised elements (b, h n, c), the 1 / sqrt(k / h) included."""
        q = rearrange(query, "b n (h k) -> b h n k", h=self.heads)
        # The bias cancels in the softmax: adding nothing keeps its gradient at zero instead of missing, which
        # data-parallel training insists on.
        weight = self.key_weight * (self.norm_scale * q.shape[-1] ** -0.5) + 0 * self.key_bias[:, None]
        folded = q @ rearrange(weight, "(h k) c -> h k c", h=self.heads).to(q.dtype)
        queries: Tensor = rearrange(folded, "b h n c -> b (h n) c")
        return queries

    def unfold_context(self, context: Tensor) -> Tensor:
        """Weighted means of normalised elements (b, h n, c) as weighted means of values (b, n, k)."""
        weight = rearrange(self.value_weight * self.norm_scale, "(h k) c -> h k c", h=self.heads)
        bias = F.linear(self.norm_offset, self.value_weight, self.value_bias)
        values = rearrange(context, "b (h n) c -> b h n c", h=self.heads) @ weight.mT.to(context.dtype)
        attended: Tensor = rearrange(values, "b h n k -> b n (h k)") + bias.to(values.dtype)
        return attended

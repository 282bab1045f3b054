"""Initial values, as the official code draws them (docs/paper.md sections 1.2 and 1.3)."""

from __future__ import annotations

import math

from torch import Tensor, nn

# Standard deviation of a unit normal cut at two sigma: Haiku divides by it, so that the weights keep the
# variance asked for.
CUT_NORMAL_STD = 0.87962566103423978


def truncated_normal_(tensor: Tensor, std: float) -> Tensor:
    """Fill with a normal of that `std` cut at two of it; what remains has a standard deviation of 0.88 `std`.

    PyTorch's default bounds are absolute, -2 and 2: at the latents' 0.02 they would cut nothing.
    """
    return nn.init.trunc_normal_(tensor, std=std, a=-2 * std, b=2 * std)


def lecun_linear(inputs: int, outputs: int) -> nn.Linear:
    """Linear layer with weights of variance 1 / inputs, from a normal cut at two sigma, and zero bias."""
    linear = nn.Linear(inputs, outputs)
    truncated_normal_(linear.weight, 1 / math.sqrt(inputs) / CUT_NORMAL_STD)
    nn.init.zeros_(linear.bias)
    return linear

"""What every baseline has in common with the Perceiver: the same five members, fed with the same elements.

A baseline is a specification. `build` puts its network behind the elements of the inputs, positions and
permutation included, so that the baseline is given whatever the Perceiver is given (paper, Tables 2 and 4).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from perceiver.count import OPERATIONS_PER_SOFTMAX_ELEMENT
from perceiver.modalities import Audio, Image, Points, Spectrogram, Video

BaselineInputs = Image | Audio | Spectrogram | Video | Points


class Baseline(ABC):
    """A model of another kind, as the paper compares it with the Perceiver."""

    @abstractmethod
    def network(self) -> nn.Module:
        """The module from elements (b, m, c) to logits (b, num_outputs)."""

    @property
    @abstractmethod
    def elements_from(self) -> BaselineInputs:
        """What the elements of the network are."""

    @property
    @abstractmethod
    def num_outputs(self) -> int:
        """Number of logits."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Raw shape of one example."""
        return self.elements_from.shape

    def build(self) -> nn.Module:
        """A new model, raw inputs -> logits (b, num_outputs); drawn from PyTorch's global random state."""
        return nn.Sequential(self.elements_from.build(), self.network())

    def parameters(self) -> int:
        """Number of trained values, without allocating any."""
        return self.elements_from.parameters() + counted(self).parameters

    def flops(self) -> int:
        """Forward operations for one example, in the paper's convention, without computing any."""
        return self.elements_from.flops() + counted(self).flops


class Counts(NamedTuple):
    """What a network costs."""

    parameters: int
    flops: int


@cache
def counted(baseline: Baseline) -> Counts:
    """Count a baseline's network by running it on tensors that have a shape and no content.

    Two operations per multiply-add of matrix products and convolutions, three per element of a softmax
    (docs/paper.md section 5); biases, normalisations and activations are left out, as for the Perceiver.
    """
    elements = baseline.elements_from
    with torch.device("meta"):
        network = baseline.network().eval()
        one = torch.empty(1, elements.elements, elements.element_channels)
    softmax = dict.fromkeys((torch.ops.aten._softmax, torch.ops.aten._safe_softmax), softmax_operations)
    counter = FlopCounterMode(display=False, custom_mapping=softmax)
    # Fused attention would hide its softmax from the counter.
    with counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        network(one)
    return Counts(sum(p.numel() for p in network.parameters()), counter.get_total_flops())


def softmax_operations(shape: torch.Size, *_: object, **__: object) -> int:
    """Operations of a softmax over a tensor of that shape."""
    return OPERATIONS_PER_SOFTMAX_ELEMENT * shape.numel()


class OnGrid(nn.Module):
    """A network of images (b, c, height, width) applied to elements (b, m, c) that lie on a grid, row by row.

    `padding` appends rows and columns of zeros.
    """

    def __init__(self, network: nn.Module, grid: tuple[int, int], padding: tuple[int, int] = (0, 0)) -> None:
        super().__init__()
        self.network, self.grid, self.padding = network, grid, padding

    def forward(self, elements: Tensor) -> Tensor:
        """Logits (b, num_outputs)."""
        height, width = self.grid
        image = rearrange(elements, "b (h w) c -> b c h w", h=height, w=width)
        rows, columns = self.padding
        if rows or columns:
            image = nn.functional.pad(image, (0, columns, 0, rows))
        logits: Tensor = self.network(image)
        return logits

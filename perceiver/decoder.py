"""Decoding as in Perceiver IO (Jaegle et al., 2021): learned output queries that cross-attend to the latents.

The paper's own model has none of it: it takes the mean of its latents. Perceiver IO's released checkpoints
decode with one query (classification) or with one per byte (masked language modelling).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from perceiver.attention import CrossAttend, Gelu
from perceiver.errors import ConfigError, require_choice, require_counts, require_divisible
from perceiver.initialise import lecun_linear, truncated_normal_

Readout = Literal["linear", "embedding"]


class QueryWidths(NamedTuple):
    """Channels of the queries themselves, of what is compared, and of what is carried over."""

    queries: int
    qk: int
    values: int


@dataclass(frozen=True)
class Queries:
    """`number` learned vectors of `channels`; every width left out is that of the latents.

    With `residual` the query is added to what it gathers, before the perceptron. Logits are a linear layer of
    the result, or with readout "embedding" its products with the embeddings of the input bytes. Defaults:
    Perceiver IO's classification. Raises ConfigError.
    """

    number: int = 1
    channels: int | None = None
    qk_channels: int | None = None
    value_channels: int | None = None
    heads: int = 1
    widening: int = 1
    residual: bool = True
    readout: Readout = "linear"
    init_std: float = 0.02

    def __post_init__(self) -> None:
        require_counts("Queries", number=self.number, heads=self.heads, widening=self.widening)
        require_choice("Queries", "readout", self.readout, Readout)
        widths = {name: getattr(self, name) for name in ("channels", "qk_channels", "value_channels")}
        require_counts("Queries", **{name: width for name, width in widths.items() if width is not None})
        for name in ("qk_channels", "value_channels"):
            if (width := widths[name]) is not None:
                require_divisible("Queries", name, width, "heads", self.heads)
        if not 0 < self.init_std < math.inf:
            raise ConfigError(f"Queries.init_std must be positive, given {self.init_std}")

    def widths(self, latent_channels: int) -> QueryWidths:
        """The widths beside latents of that width."""
        qk = self.qk_channels or latent_channels
        return QueryWidths(self.channels or latent_channels, qk, self.value_channels or qk)


class Decoder(nn.Module):
    """Latents (b, n, d) -> logits (b, num_classes) for one query with a linear readout, else (b, number,
    num_classes)."""

    def __init__(self, config: Queries, *, latents: int, num_classes: int, gelu: Gelu) -> None:
        super().__init__()
        self.config = config
        channels, qk, values = config.widths(latents)
        self.queries = nn.Parameter(truncated_normal_(torch.empty(config.number, channels), config.init_std))
        self.cross_attend = CrossAttend(
            channels,
            latents,
            qkv=qk,
            values=values,
            heads=config.heads,
            widening=config.widening,
            gelu=gelu,
            residual=config.residual,
        )
        if config.readout == "linear":
            self.readout = lecun_linear(channels, num_classes)
        else:
            self.bias = nn.Parameter(torch.zeros(num_classes))

    def forward(self, latents: Tensor, embedding: Tensor | None = None) -> Tensor:
        """Logits; `embedding` (num_classes, channels) is that of the input bytes, for that readout."""
        gathered: Tensor = self.cross_attend(repeat(self.queries, "o c -> b o c", b=len(latents)), latents)
        if embedding is not None:
            return gathered @ embedding.mT + self.bias
        logits: Tensor = self.readout(gathered)
        return rearrange(logits, "b 1 k -> b k") if self.config.number == 1 else logits

"""The Perceiver (paper section 3.1): latents that look at the inputs, several times, and at each other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from einops import reduce, repeat
from torch import Tensor, nn

from perceiver.attention import CrossAttend, LatentTransformer, SelfAttend
from perceiver.decoder import Decoder
from perceiver.initialise import truncated_normal_
from perceiver.io_inputs import ByteElements
from perceiver.kernels import AttentionPath, Choice, Path, choose
from perceiver.paths import Seen, cross_attend_shape, see
from perceiver.sharing import modules

if TYPE_CHECKING:
    from perceiver.config import PerceiverConfig


class Perceiver(nn.Module):
    """Raw inputs -> logits (b, num_classes): the mean of the last latents through a linear layer.

    The layer of the logits starts at zero, as in the official code; so the first loss is that of the uniform
    guess. Modules that serve several places stand once in `cross_attends` and `blocks`, and once in the state
    dict.

    `attention_path` says how cross-attends are computed: "auto" takes the cheapest of the exact ways, see
    `explain`. It may be set at any time, and changes no result beyond rounding.

    `checkpointing` keeps only the latents between self-attends for the backward pass, and computes what is
    within again: on ImageNet, batch 1, a fifth more time for half of the memory. It may be set at any time,
    and changes no result.
    """

    attention_path: AttentionPath = "auto"
    checkpointing: bool = False

    def __init__(self, config: PerceiverConfig) -> None:
        super().__init__()
        self.config = config
        self.places = config.places
        self.inputs = config.inputs.build()
        self.latents = nn.Parameter(
            truncated_normal_(torch.empty(config.num_latents, config.latent_channels), config.latent_init_std)
        )
        self.cross_attends = nn.ModuleList(
            CrossAttend(
                config.latent_channels,
                config.inputs.element_channels,
                qkv=config.cross_attend_channels,
                values=config.value_channels,
                heads=config.cross_heads,
                widening=config.widening,
                gelu=config.gelu,
            )
            for _ in range(modules(self.places, "cross_attend"))
        )
        self.blocks = nn.ModuleList(
            LatentTransformer(
                *(
                    SelfAttend(
                        config.latent_channels,
                        heads=config.self_heads,
                        qk=config.qk_channels,
                        widening=config.widening,
                        gelu=config.gelu,
                    )
                    for _ in range(config.self_attends_per_block)
                )
            )
            for _ in range(modules(self.places, "block"))
        )
        self.head = head(config)

    def forward(self, inputs: Tensor | Mapping[str, Tensor]) -> Tensor:
        """Logits (b, num_classes) of a raw batch. Raises InputError."""
        shape = cross_attend_shape(self, inputs)
        # A part of a grid is no grid, and normalised elements are not cut.
        path: Path = "plain" if self.config.unrolled else choose(shape, self.attention_path).path
        seen = repeated(see(self.inputs, inputs, path, dtype=self.latents.dtype), self.config)
        kept = None
        if isinstance(self.inputs, ByteElements) and isinstance(inputs, Tensor):
            kept = self.inputs.kept(inputs)
        latents = repeat(self.latents, "n d -> b n d", b=shape.batch)
        for place in self.places:
            if place.kind == "cross_attend":
                latents = self.cross_attends[place.module](latents, next(seen), kept)
            else:
                latents = self.blocks[place.module](latents, checkpointing=self.checkpointing)
        return self.logits(latents)

    def explain(self, batch: int = 1) -> Choice:
        """How the cross-attends of a batch of that size would be computed now, and why.

        >>> PerceiverConfig(Image(224, 224, positions=Fourier(64, 224))).build().explain()
        Choice(path='factorised', reason='positions on a grid need no features per element; ...')
        """
        return choose(cross_attend_shape(self, None, batch=batch), self.attention_path)

    def logits(self, latents: Tensor) -> Tensor:
        """Logits (b, num_classes) of the last latents (b, n, d); of a decoder, perhaps one row per query."""
        logits: Tensor
        if not isinstance(self.head, Decoder):
            logits = self.head(reduce(latents, "b n d -> b d", "mean"))
        elif self.head.config.readout == "embedding" and isinstance(self.inputs, ByteElements):
            logits = self.head(latents, self.inputs.embedding.weight)
        else:
            logits = self.head(latents)
        return logits


def repeated(elements: Seen, config: PerceiverConfig) -> Iterator[Seen]:
    """What each cross-attend looks at: all elements every time, or in an unrolled model its part of them."""
    if config.unrolled and isinstance(elements, Tensor):
        return iter(torch.split(elements, config.seen_elements, dim=1))
    return itertools.repeat(elements)


def head(config: PerceiverConfig) -> nn.Linear | Decoder:
    """The layer of the logits, which starts at zero, or Perceiver IO's decoder."""
    if config.decoder is not None:
        return Decoder(
            config.decoder, latents=config.latent_channels, num_classes=config.num_classes, gelu=config.gelu
        )
    linear = nn.Linear(config.latent_channels, config.num_classes)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear

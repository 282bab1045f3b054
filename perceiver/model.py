"""The Perceiver (paper section 3.1): latents that look at the inputs, several times, and at each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from einops import reduce, repeat
from torch import Tensor, nn

from perceiver.attention import CrossAttend, SelfAttend
from perceiver.initialise import truncated_normal_
from perceiver.sharing import modules

if TYPE_CHECKING:
    from perceiver.config import PerceiverConfig


class Perceiver(nn.Module):
    """Raw inputs -> logits (b, num_classes): the mean of the last latents through a linear layer.

    The layer of the logits starts at zero, as in the official code; so the first loss is that of the uniform
    guess. Modules that serve several places stand once in `cross_attends` and `blocks`, and once in the state
    dict.
    """

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
                heads=config.cross_heads,
                widening=config.widening,
                gelu=config.gelu,
            )
            for _ in range(modules(self.places, "cross_attend"))
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(
                *(
                    SelfAttend(
                        config.latent_channels,
                        heads=config.self_heads,
                        widening=config.widening,
                        gelu=config.gelu,
                    )
                    for _ in range(config.self_attends_per_block)
                )
            )
            for _ in range(modules(self.places, "block"))
        )
        self.head = nn.Linear(config.latent_channels, config.num_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: Tensor | Mapping[str, Tensor]) -> Tensor:
        """Logits (b, num_classes) of a raw batch. Raises InputError."""
        elements = self.inputs(inputs).to(self.latents.dtype)
        latents = repeat(self.latents, "n d -> b n d", b=len(elements))
        for place in self.places:
            if place.kind == "cross_attend":
                latents = self.cross_attends[place.module](latents, elements)
            else:
                latents = self.blocks[place.module](latents)
        logits: Tensor = self.head(reduce(latents, "b n d -> b d", "mean"))
        return logits

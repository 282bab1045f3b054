"""The Perceivers that are compared: ours in several ways, and the peers' with the same sizes.

A peer is given the elements with their positions, built beforehand, which spares it that part; ours is given
what a data pipeline gives. A cross-attend is its norms, projections and attention, (latents, seen) -> latents
(b, n, d); a model ends in logits. What a peer cannot build raises Unsupported, saying why. Peers that are not
installed are looked for in the folder `--peers`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange, reduce, repeat
from torch import Tensor, nn

import perceiver.attention
from perceiver import PerceiverConfig
from perceiver.kernels import plain_attention
from perceiver.paths import see
from perceiver.sharing import modules

Raw = Any


class Unsupported(Exception):
    """A peer that is not here, or has no model of these sizes."""


def plain_attend(
    query: Tensor, key: Tensor, value: Tensor, *, heads: int, kept: Tensor | None = None
) -> Tensor:
    """`perceiver.attention.attend` as the formula says, whatever the device."""
    q, k, v = (rearrange(x, "b i (h c) -> b h i c", h=heads) for x in (query, key, value))
    attended: Tensor = torch.softmax(q * q.shape[-1] ** -0.5 @ k.mT, dim=-1) @ v
    return rearrange(attended, "b h i c -> b i (h c)")


def fused_attend(
    query: Tensor, key: Tensor, value: Tensor, *, heads: int, kept: Tensor | None = None
) -> Tensor:
    """The same with PyTorch's fused attention."""
    q, k, v = (rearrange(x, "b i (h c) -> b h i c", h=heads) for x in (query, key, value))
    return rearrange(F.scaled_dot_product_attention(q, k, v), "b h i c -> b i (h c)")


class OurCrossAttend(nn.Module):
    """One of our cross-attends on the path it takes, up to its MLP."""

    def __init__(self, config: PerceiverConfig) -> None:
        super().__init__()
        model = config.build()
        self.inputs, self.path = model.inputs, model.explain().path
        self.cross_attend = model.cross_attends[0]

    def forward(self, latents: Tensor, raw: Raw) -> Tensor:
        part = self.cross_attend
        query, projections = part.query(part.norm_latents(latents)), part.projections()
        seen = see(self.inputs, raw, self.path, dtype=latents.dtype)
        if isinstance(seen, Tensor):
            return part.out(plain_attention(query, seen, projections))
        return part.out(projections.unfold_context(seen.attend(projections.fold_query(query))))


class OurCrossAttendByFormula(nn.Module):
    """The same of given elements, keys and values of each of them, attended to by a function."""

    def __init__(self, config: PerceiverConfig, attend: Callable[..., Tensor]) -> None:
        super().__init__()
        self.cross_attend, self.attend = config.build().cross_attends[0], attend

    def forward(self, latents: Tensor, elements: Tensor) -> Tensor:
        part = self.cross_attend
        query, z = part.query(part.norm_latents(latents)), part.norm_inputs(elements)
        return part.out(self.attend(query, part.key(z), part.value(z), heads=part.heads))


def our_model(
    config: PerceiverConfig, *, attend: Callable[..., Tensor] | None = None, checkpointing: bool = False
) -> nn.Module:
    """Our model; with `attend`, keys and values of every element, and all attends by that function."""
    model = config.build()
    model.checkpointing = checkpointing
    nn.init.normal_(model.head.weight, std=config.latent_channels**-0.5)
    if attend is not None:
        model.attention_path = "plain"
        # Of this process, which measures nothing else.
        perceiver.attention.attend = attend
    return model


class InPlaces(nn.Module):
    """A peer's cross-attends and self-attends in the places of one of our models, with its sharing."""

    def __init__(
        self,
        config: PerceiverConfig,
        cross_attend: Callable[[], nn.Module],
        self_attend: Callable[[], nn.Module],
        call: Callable[..., Tensor],
    ) -> None:
        super().__init__()
        self.places, self.call = config.places, call
        self.latents = nn.Parameter(0.02 * torch.randn(config.num_latents, config.latent_channels))
        depth = config.self_attends_per_block
        self.cross_attends = nn.ModuleList(
            cross_attend() for _ in range(modules(self.places, "cross_attend"))
        )
        self.blocks = nn.ModuleList(
            nn.ModuleList(self_attend() for _ in range(depth)) for _ in range(modules(self.places, "block"))
        )
        self.head = nn.Linear(config.latent_channels, config.num_classes)

    def forward(self, elements: Tensor) -> Tensor:
        latents = repeat(self.latents, "n d -> b n d", b=len(elements))
        for place in self.places:
            if place.kind == "cross_attend":
                latents = self.call(self.cross_attends[place.module], latents, elements)
            else:
                for layer in self.blocks[place.module]:
                    latents = self.call(layer, latents, None)
        return self.head(reduce(latents, "b n d -> b d", "mean"))


def hugging_face(config: PerceiverConfig, *, whole: bool) -> nn.Module:
    """Hugging Face's layers, tanh GELU, no dropout. Its PerceiverModel has one cross-attend; here are all."""
    library = installed("transformers.models.perceiver.modeling_perceiver")
    settings = import_module("transformers").PerceiverConfig(
        hidden_act="gelu_pytorch_tanh", attention_probs_dropout_prob=0.0
    )
    d, c, qk = config.latent_channels, config.inputs.element_channels, config.cross_attend_channels
    crossing = {"is_cross_attention": True, "qk_channels": qk, "v_channels": qk, "q_dim": d, "kv_dim": c}
    crossing["num_heads"] = config.cross_heads
    if not whole:
        attention = library.PerceiverAttention(settings, **crossing)
        return CallWith(attention, lambda layer, latents, elements: layer(latents, inputs=elements)[0])
    among = {"is_cross_attention": False, "qk_channels": d, "v_channels": d, "q_dim": d, "kv_dim": d}
    among["num_heads"] = config.self_heads
    return InPlaces(
        config,
        lambda: library.PerceiverLayer(settings, **crossing, widening_factor=config.widening),
        lambda: library.PerceiverLayer(settings, **among, widening_factor=config.widening),
        lambda layer, latents, elements: layer(latents, inputs=elements)[0],
    )


class CallWith(nn.Module):
    """A module that is called in another way."""

    def __init__(self, module: nn.Module, call: Callable[..., Tensor]) -> None:
        super().__init__()
        self.module, self.call = module, call

    def forward(self, *arguments: Tensor) -> Tensor:
        return self.call(self.module, *arguments)


def perceiver_pytorch(config: PerceiverConfig, *, whole: bool) -> nn.Module:
    """perceiver-pytorch, of whose MLPs the widening is 4 with gates: another function, of more operations."""
    library = installed("perceiver_pytorch.perceiver_pytorch")
    c, d = config.inputs.element_channels, config.latent_channels
    if not whole:
        attention = library.Attention(d, c, heads=config.cross_heads, dim_head=config.cross_attend_channels)
        cross_attend = library.PreNorm(d, attention, context_dim=c)
        return CallWith(cross_attend, lambda layer, latents, elements: layer(latents, context=elements))
    if config.cross_attends != config.blocks:
        raise Unsupported("each of its blocks has a cross-attend")
    return library.Perceiver(
        num_freq_bands=0,
        max_freq=1.0,
        fourier_encode_data=False,
        input_channels=c,
        input_axis=1,
        depth=config.blocks,
        self_per_cross_attn=config.self_attends_per_block,
        num_latents=config.num_latents,
        latent_dim=d,
        cross_heads=config.cross_heads,
        cross_dim_head=config.cross_attend_channels,
        latent_heads=config.self_heads,
        latent_dim_head=d // config.self_heads,
        num_classes=config.num_classes,
        weight_tie_layers=config.sharing != "none",
    )


def perceiver_io(config: PerceiverConfig, *, whole: bool) -> nn.Module:
    """perceiver-io, whose GELU is the exact one."""
    library = perceiver_io_modules()
    c, d, qk = config.inputs.element_channels, config.latent_channels, config.cross_attend_channels
    if not whole:
        return CallWith(
            library.CrossAttention(config.cross_heads, d, c, qk, qk),
            lambda layer, latents, elements: layer(latents, elements),
        )
    if config.self_attends_per_block == 0 or config.sharing not in {"published", "none"}:
        raise Unsupported("it has no such model")
    if config.sharing == "none" and config.blocks > 2:
        raise Unsupported("it shares all blocks but the first")

    class AsTheyAre(library.InputAdapter):
        def forward(self, x: Tensor) -> Tensor:
            return x

    encoder = library.PerceiverEncoder(
        AsTheyAre(c),
        num_latents=config.num_latents,
        num_latent_channels=d,
        num_cross_attention_heads=config.cross_heads,
        num_cross_attention_qk_channels=qk,
        num_cross_attention_v_channels=qk,
        num_cross_attention_layers=config.cross_attends,
        cross_attention_widening_factor=config.widening,
        num_self_attention_heads=config.self_heads,
        num_self_attention_layers_per_block=config.self_attends_per_block,
        num_self_attention_blocks=config.blocks,
        first_self_attention_block_shared=config.sharing == "published",
        self_attention_widening_factor=config.widening,
    )
    return nn.Sequential(encoder, Mean(), nn.Linear(d, config.num_classes))


class Mean(nn.Module):
    """The mean over latents (b, n, d) -> (b, d)."""

    def forward(self, latents: Tensor) -> Tensor:
        return reduce(latents, "b n d -> b d", "mean")


def installed(module: str) -> Any:
    """A module of a peer that is at hand. Raises Unsupported."""
    try:
        return import_module(module)
    except ModuleNotFoundError as missing:
        raise Unsupported(f"not installed: no module {missing.name}") from None


def perceiver_io_modules() -> Any:
    """perceiver-io's layers; its package has the name of ours, which steps aside."""
    ours = {name: sys.modules[name] for name in list(sys.modules) if name.split(".")[0] == "perceiver"}
    for name in ours:
        del sys.modules[name]
    path = sys.path[:]
    # The folder of peers is the last; without it the first that is found is ours.
    sys.path.insert(0, sys.path[-1])
    try:
        return installed("perceiver.model.core.modules")
    finally:
        sys.path[:] = path
        for name in [name for name in sys.modules if name.split(".")[0] == "perceiver"]:
            del sys.modules[name]
        sys.modules.update(ours)


@dataclass(frozen=True)
class Implementation:
    """How to build a cross-attend and a model, and which of them are given elements, not the raw batch."""

    cross_attend: Callable[[PerceiverConfig], nn.Module]
    model: Callable[[PerceiverConfig], nn.Module]
    of_elements: tuple[str, ...] = ()


def by_formula(attend: Callable[..., Tensor]) -> Implementation:
    """Ours with keys and values of every element."""
    return Implementation(
        partial(OurCrossAttendByFormula, attend=attend),
        partial(our_model, attend=attend),
        of_elements=("cross_attend",),
    )


def peer(build: Callable[..., nn.Module]) -> Implementation:
    """A peer's."""
    cross_attend, model = partial(build, whole=False), partial(build, whole=True)
    return Implementation(cross_attend, model, of_elements=("cross_attend", "model"))


PLAIN = "plain formula"
IMPLEMENTATIONS = {
    PLAIN: by_formula(plain_attend),
    "scaled_dot_product_attention": by_formula(fused_attend),
    "ours": Implementation(OurCrossAttend, our_model),
    "ours, checkpointing": Implementation(OurCrossAttend, partial(our_model, checkpointing=True)),
    "Hugging Face": peer(hugging_face),
    "perceiver-pytorch": peer(perceiver_pytorch),
    "perceiver-io": peer(perceiver_io),
}

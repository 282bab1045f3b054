"""Whether a network sees the order of its pixels: it is built, given weights at random, and asked twice.

The weights are drawn for all parameters, the head's too: as a network is made its head is zero and its logits
would not move whatever it is given.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from perceiver import Fourier, Image, PerceiverConfig
from perceiver.baselines import ResNet, Transformer, ViT
from pipelines.tables.claims.claim import Shown

POSITIONED = Image(8, 8, 3, positions=Fourier(4, 8))
EQUAL = 1e-9
"""of the size of the logits, in float64: rounding leaves some 1e-15"""

AnyModel = PerceiverConfig | Transformer | ViT | ResNet


def perceiver(inputs: Image) -> PerceiverConfig:
    """Two blocks with interleaved cross-attends and the published sharing, as the main model has eight."""
    return PerceiverConfig(
        inputs, num_latents=8, latent_channels=32, blocks=2, self_attends_per_block=2, cross_attends=2,
        self_heads=4, num_classes=10,
    )  # fmt: skip


def transformer(inputs: Image) -> Transformer:
    return Transformer(inputs, width=32, depth=2, heads=4, num_classes=10)


def vit(inputs: Image) -> ViT:
    return ViT(inputs, patch=2, width=32, depth=2, heads=4, num_classes=10)


def resnet(inputs: Image) -> ResNet:
    return ResNet(inputs, (1, 1), (8, 16), residual="basic", stem="3x3", stem_width=8, num_classes=10)


def order_with_positions(model: AnyModel) -> float:
    """How far logits move, as a part of their size, where elements are permuted with their positions
    attached."""
    assert isinstance(model.inputs, Image)
    permuted = replace(model, inputs=replace(model.inputs, permutation=1))
    images = _drawn((4, *model.inputs.shape))
    return _apart(_logits(model.build(), images), _logits(permuted.build(), images))


def order_of_pixels(model: PerceiverConfig) -> float:
    """The same where the pixels of the image itself are permuted, and what positions there are stay."""
    assert isinstance(model.inputs, Image)
    images = _drawn((4, *model.inputs.shape))
    order = torch.randperm(images.shape[1] * images.shape[2], generator=torch.Generator().manual_seed(1))
    permuted = images.flatten(1, 2)[:, order].reshape(images.shape)
    return _apart(_logits(model.build(), images), _logits(model.build(), permuted))


def unmoved(*parts: float) -> Shown:
    """Whether logits stay where they are."""
    return Shown(
        all(part < EQUAL for part in parts),
        "logits in double precision, with all weights at random, are equal to rounding"
        if all(part < EQUAL for part in parts)
        else "logits move by more than rounding",
    )


def moved(*parts: float) -> Shown:
    """Whether they move, by a hundredth of their size or more."""
    holds = all(part > 0.01 for part in parts)
    return Shown(holds, f"logits move by {'more' if holds else 'less'} than a hundredth of their size")


def _logits(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    network = network.double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.3, generator=generator)
        logits: torch.Tensor = network(images)
    return logits


def _drawn(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def _apart(left: torch.Tensor, right: torch.Tensor) -> float:
    return float((left - right).abs().max() / left.abs().max())

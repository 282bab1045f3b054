"""ViT (Dosovitskiy et al., 2021), on pixels and their positions. The defaults are ViT-B/16 for ImageNet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from perceiver.baselines.baseline import Baseline, OnGrid
from perceiver.baselines.grid import GridInputs, grid_of
from perceiver.errors import require_counts, require_divisible
from perceiver.modalities import Image, Points


@dataclass(frozen=True)
class ViT(Baseline):
    """Patches of `patch` x `patch` elements, `depth` layers of `width` channels, logits from the class token.

    Its own learned position of every patch stays, beside whatever positions the elements carry (assumed). A
    grid that the patch does not divide, such as ModelNet40's 44 x 44 with patch 8, is padded with zeros at
    the bottom and on the right (assumed). Layers are the Transformers library's, without dropout. Raises
    ConfigError.
    """

    inputs: Image | Points
    patch: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    widening: int = 4
    num_classes: int = 1000

    def __post_init__(self) -> None:
        require_counts(
            "ViT",
            patch=self.patch,
            width=self.width,
            depth=self.depth,
            heads=self.heads,
            widening=self.widening,
            num_classes=self.num_classes,
        )
        require_divisible("ViT", "width", self.width, "heads", self.heads)
        grid_of(self.inputs)

    @property
    def elements_from(self) -> GridInputs:
        return self.inputs

    @property
    def num_outputs(self) -> int:
        return self.num_classes

    @property
    def receptive_field(self) -> int:
        """Pixels that one output of the first layer sees (Table 2)."""
        return self.patch**2

    @property
    def padding(self) -> tuple[int, int]:
        """Rows and columns of zeros that complete the last patches."""
        height, width = grid_of(self.inputs)
        return -height % self.patch, -width % self.patch

    def network(self) -> nn.Module:
        return OnGrid(ViTClassifier(self), grid_of(self.inputs), self.padding)


class ViTClassifier(nn.Module):
    """Images (b, c, height, width) -> logits (b, num_classes)."""

    def __init__(self, config: ViT) -> None:
        super().__init__()
        self.model = vit_model(config)
        self.head = nn.Linear(config.width, config.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (b, num_classes)."""
        tokens: Tensor = self.model(images).last_hidden_state
        logits: Tensor = self.head(tokens[:, 0])
        return logits


def vit_model(config: ViT) -> Any:
    """The library's model up to its last normalisation; nothing is downloaded."""
    from transformers import ViTConfig, ViTModel

    (height, width), (rows, columns) = grid_of(config.inputs), config.padding
    return ViTModel(
        ViTConfig(
            image_size=(height + rows, width + columns),
            num_channels=config.inputs.element_channels,
            patch_size=config.patch,
            hidden_size=config.width,
            num_hidden_layers=config.depth,
            num_attention_heads=config.heads,
            intermediate_size=config.widening * config.width,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        ),
        add_pooling_layer=False,
    )

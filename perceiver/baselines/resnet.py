"""ResNet (He et al., 2016), on pixels and their positions. The defaults are ResNet-50 for ImageNet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from perceiver.baselines.baseline import Baseline, OnGrid
from perceiver.baselines.grid import GridInputs, grid_of
from perceiver.errors import ConfigError, require_choice, require_counts, require_divisible
from perceiver.modalities import Image, Points

Residual = Literal["bottleneck", "basic"]
Stem = Literal["7x7", "3x3"]


@dataclass(frozen=True)
class ResNet(Baseline):
    """Stages of `depths` residual layers with `widths` channels; every stage but the first halves the grid.

    The stem "7x7" has stride 2 and is pooled; "3x3" keeps the grid as it is, for images of a few pixels
    (He et al., section 4.2). Layers are the Transformers library's. Raises ConfigError.
    """

    inputs: Image | Points
    depths: tuple[int, ...] = (3, 4, 6, 3)
    widths: tuple[int, ...] = (256, 512, 1024, 2048)
    residual: Residual = "bottleneck"
    stem: Stem = "7x7"
    stem_width: int = 64
    num_classes: int = 1000

    def __post_init__(self) -> None:
        require_counts("ResNet", stem_width=self.stem_width, num_classes=self.num_classes)
        require_choice("ResNet", "residual", self.residual, Residual)
        require_choice("ResNet", "stem", self.stem, Stem)
        if not self.depths or len(self.depths) != len(self.widths):
            raise ConfigError(
                f"ResNet.depths and widths must be one per stage each, given {self.depths} and {self.widths}"
            )
        for depth, width in zip(self.depths, self.widths, strict=True):
            require_counts("ResNet", depths=depth, widths=width)
            if self.residual == "bottleneck":
                require_divisible("ResNet", "widths", width, "the bottleneck's 4", 4)
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
        return 49 if self.stem == "7x7" else 9

    def network(self) -> nn.Module:
        return OnGrid(ResNetClassifier(self), grid_of(self.inputs))


class ResNetClassifier(nn.Module):
    """Images (b, c, height, width) -> logits (b, num_classes)."""

    def __init__(self, config: ResNet) -> None:
        super().__init__()
        self.model = resnet_model(config)
        self.head = nn.Linear(config.widths[-1], config.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (b, num_classes)."""
        pooled: Tensor = self.model(images).pooler_output
        logits: Tensor = self.head(pooled.flatten(1))
        return logits


def resnet_model(config: ResNet) -> Any:
    """The library's model up to its pooling, with the stem asked for; nothing is downloaded."""
    from transformers import ResNetConfig, ResNetModel
    from transformers.models.resnet.modeling_resnet import ResNetConvLayer

    channels = config.inputs.element_channels
    model = ResNetModel(
        ResNetConfig(
            num_channels=channels,
            embedding_size=config.stem_width,
            depths=list(config.depths),
            hidden_sizes=list(config.widths),
            layer_type=config.residual,
        )
    )
    if config.stem == "3x3":
        model.embedder = ResNetConvLayer(channels, config.stem_width, kernel_size=3)
        nn.init.kaiming_normal_(model.embedder.convolution.weight, mode="fan_out", nonlinearity="relu")
    return model

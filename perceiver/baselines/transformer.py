"""The plain Transformer of Tables 1, 2 and 4: self-attends over all elements, without a latent bottleneck."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor, nn

from perceiver.attention import Gelu, SelfAttend
from perceiver.baselines.baseline import Baseline
from perceiver.errors import ConfigError, require_choice, require_counts, require_divisible
from perceiver.initialise import lecun_linear
from perceiver.modalities import Image, Points


@dataclass(frozen=True)
class Transformer(Baseline):
    """Elements -> linear layer to `width` -> `depth` self-attends -> mean over the elements -> logits.

    The layers are those of the Perceiver's latent Transformer. Images larger than `grid` are first scaled
    down to it: the paper's have 64 x 64 = 4,096 elements (section 4.1). It states neither depth nor width nor
    pooling; all three are assumed. Raises ConfigError.
    """

    inputs: Image | Points
    grid: tuple[int, int] | None = None
    width: int = 512
    depth: int = 6
    heads: int = 8
    widening: int = 1
    gelu: Gelu = "tanh"
    num_classes: int = 1000

    def __post_init__(self) -> None:
        require_counts(
            "Transformer",
            width=self.width,
            depth=self.depth,
            heads=self.heads,
            widening=self.widening,
            num_classes=self.num_classes,
        )
        require_divisible("Transformer", "width", self.width, "heads", self.heads)
        require_choice("Transformer", "gelu", self.gelu, Gelu)
        if self.grid is None:
            return
        if not isinstance(self.inputs, Image):
            raise ConfigError(f"Transformer.grid is for images, given {self.grid} for points; try None")
        height, width = self.grid
        require_counts("Transformer", grid=height)
        require_counts("Transformer", grid=width)
        if height > self.inputs.height or width > self.inputs.width:
            raise ConfigError(
                f"Transformer.grid must not exceed the image's {self.inputs.height} x {self.inputs.width}, "
                f"given {height} x {width}"
            )

    @property
    def elements_from(self) -> Image | Points:
        if self.grid is None or not isinstance(self.inputs, Image):
            return self.inputs
        return replace(self.inputs, height=self.grid[0], width=self.grid[1], pixels=None)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.inputs.shape

    @property
    def num_outputs(self) -> int:
        return self.num_classes

    @property
    def receptive_field(self) -> int:
        """Elements that one output of the first layer sees (Table 2): all."""
        return self.elements_from.elements

    def network(self) -> nn.Module:
        return TransformerClassifier(self)

    def build(self) -> nn.Module:
        model = super().build()
        if self.elements_from == self.inputs or not isinstance(self.inputs, Image) or self.grid is None:
            return model
        return nn.Sequential(ScaledDown(self.inputs, self.grid), model)


class ScaledDown(nn.Module):
    """Images (b, height, width, c) -> (b, *grid, c), by antialiased bilinear interpolation (assumed).

    8-bit pixels become the floats they stand for first.
    """

    def __init__(self, inputs: Image, grid: tuple[int, int]) -> None:
        super().__init__()
        self.values = replace(inputs, positions=None, permutation=None).build()
        self.size, self.grid = (inputs.height, inputs.width), grid

    def forward(self, images: Tensor) -> Tensor:
        """Images (b, *grid, c). Raises InputError."""
        height, width = self.size
        channels_first = rearrange(self.values(images), "b (h w) c -> b c h w", h=height, w=width)
        scaled = F.interpolate(channels_first, size=self.grid, mode="bilinear", antialias=True)
        channels_last: Tensor = rearrange(scaled, "b c h w -> b h w c")
        return channels_last


class TransformerClassifier(nn.Module):
    """Elements (b, m, c) -> logits (b, num_classes)."""

    def __init__(self, config: Transformer) -> None:
        super().__init__()
        self.embed = lecun_linear(config.elements_from.element_channels, config.width)
        self.layers = nn.Sequential(
            *(
                SelfAttend(config.width, heads=config.heads, widening=config.widening, gelu=config.gelu)
                for _ in range(config.depth)
            )
        )
        self.head = lecun_linear(config.width, config.num_classes)

    def forward(self, elements: Tensor) -> Tensor:
        """Logits (b, num_classes)."""
        embedded = self.layers(self.embed(elements.to(self.embed.weight.dtype)))
        logits: Tensor = self.head(reduce(embedded, "b m d -> b d", "mean"))
        return logits

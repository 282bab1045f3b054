"""Inputs that Perceiver IO's released models have and the paper's do not: lifted or convolved pixels, and
bytes.

Like `perceiver.modalities`, each is a specification that builds the module from a raw batch to elements (b,
m, c).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from perceiver.elements import GridElements
from perceiver.errors import InputError, require_batch, require_choice, require_counts
from perceiver.initialise import lecun_linear, truncated_normal_
from perceiver.modalities import Image
from perceiver.positions import Fourier, Learned

Padding = Literal["same", "hugging_face"]

LIFTED_POSITIONS = Learned(256, init_std=0.02)
CONVOLVED_POSITIONS = Fourier(64, 56)


@dataclass(frozen=True)
class LiftedImage:
    """Pixels lifted to more channels by a linear layer, and learned positions by another, side by side.

    Raw (b, height, width, channels). Raises ConfigError.
    """

    height: int
    width: int
    channels: int = 3
    lifted: int = 256
    positions: Learned = LIFTED_POSITIONS
    projected: int = 256

    def __post_init__(self) -> None:
        require_counts("LiftedImage", height=self.height, width=self.width, channels=self.channels)
        require_counts("LiftedImage", lifted=self.lifted, projected=self.projected)

    @property
    def shape(self) -> tuple[int, ...]:
        """Raw shape of one example."""
        return self.height, self.width, self.channels

    @property
    def elements(self) -> int:
        """Number of elements, m."""
        return self.height * self.width

    @property
    def element_channels(self) -> int:
        """Channels of an element, c: the lifted pixel, then the projected position."""
        return self.lifted + self.projected

    def parameters(self) -> int:
        """Number of trained values."""
        positions = self.elements * self.positions.channels + (self.positions.channels + 1) * self.projected
        return positions + (self.channels + 1) * self.lifted

    def flops(self) -> int:
        """Operations that make the elements of one example: two per multiply-add of both layers."""
        return 2 * self.elements * (self.channels * self.lifted + self.positions.channels * self.projected)

    def build(self) -> LiftedElements:
        """The module from a raw batch to elements (b, m, c)."""
        return LiftedElements(self)


class LiftedElements(nn.Module):
    """Pixels and learned positions, each through its linear layer."""

    def __init__(self, config: LiftedImage) -> None:
        super().__init__()
        self.shape = config.shape
        self.lift = lecun_linear(config.channels, config.lifted)
        table = torch.empty(config.elements, config.positions.channels)
        self.positions = nn.Parameter(truncated_normal_(table, config.positions.init_std))
        self.project = lecun_linear(config.positions.channels, config.projected)

    def forward(self, raw: Tensor) -> Tensor:
        """Elements (b, m, c) of a raw batch. Raises InputError."""
        require_batch("LiftedImage", raw, self.shape)
        pixels = self.lift(rearrange(raw, "b h w c -> b (h w) c"))
        return torch.cat([pixels, repeat(self.project(self.positions), "m p -> b m p", b=len(raw))], dim=-1)


@dataclass(frozen=True)
class ConvolvedImage:
    """A 7 x 7 convolution and a 3 x 3 maximum, each of stride 2, before the positions.

    Raw (b, height, width, channels); of 224 x 224 pixels, 56 x 56 elements. `padding` "same" is the official
    code's; "hugging_face" pads the convolution alike on both sides and the maximum not at all, so that 55 x
    55 elements are left. Raises ConfigError.
    """

    height: int
    width: int
    channels: int = 3
    convolved: int = 64
    positions: Fourier = CONVOLVED_POSITIONS
    padding: Padding = "same"

    def __post_init__(self) -> None:
        require_counts("ConvolvedImage", height=self.height, width=self.width, channels=self.channels)
        require_counts("ConvolvedImage", convolved=self.convolved)
        require_choice("ConvolvedImage", "padding", self.padding, Padding)
        self.grid.require_positions_fit()

    @property
    def shape(self) -> tuple[int, ...]:
        """Raw shape of one example."""
        return self.height, self.width, self.channels

    @property
    def convolved_axes(self) -> tuple[int, int]:
        """Height and width after the convolution."""
        return math.ceil(self.height / 2), math.ceil(self.width / 2)

    @property
    def grid(self) -> Image:
        """The elements as an image, with the positions."""
        h, w = self.convolved_axes
        if self.padding == "same":
            h, w = math.ceil(h / 2), math.ceil(w / 2)
        else:
            h, w = (h - 3) // 2 + 1, (w - 3) // 2 + 1
        return Image(h, w, self.convolved, positions=self.positions)

    @property
    def elements(self) -> int:
        """Number of elements, m."""
        return self.grid.elements

    @property
    def element_channels(self) -> int:
        """Channels of an element, c."""
        return self.grid.element_channels

    def parameters(self) -> int:
        """Number of trained values: the convolution, which has no bias, and its batch normalisation."""
        return 49 * self.channels * self.convolved + 2 * self.convolved

    def flops(self) -> int:
        """Operations that make the elements of one example: two per multiply-add of the convolution."""
        return 2 * math.prod(self.convolved_axes) * 49 * self.channels * self.convolved

    def build(self) -> ConvolvedElements:
        """The module from a raw batch to elements (b, m, c)."""
        return ConvolvedElements(self)


class ConvolvedElements(nn.Module):
    """Convolution, batch normalisation, ReLU and maximum; then an image of what comes out."""

    def __init__(self, config: ConvolvedImage) -> None:
        super().__init__()
        self.config = config
        self.convolution = nn.Conv2d(config.channels, config.convolved, 7, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(config.convolved)
        self.image: GridElements = config.grid.build()

    def forward(self, raw: Tensor) -> Tensor:
        """Elements (b, m, c) of a raw batch. Raises InputError."""
        require_batch("ConvolvedImage", raw, self.config.shape)
        images = rearrange(raw, "b h w c -> b c h w")
        same = self.config.padding == "same"
        images = same_padded(images, kernel=7) if same else F.pad(images, (3, 3, 3, 3))
        features = F.relu(self.norm(self.convolution(images)))
        # Nothing is below zero after the ReLU, so padding with zeros leaves every maximum as it is.
        features = F.max_pool2d(same_padded(features, kernel=3) if same else features, 3, stride=2)
        elements: Tensor = self.image(rearrange(features, "b c h w -> b h w c"))
        return elements


def same_padded(images: Tensor, *, kernel: int) -> Tensor:
    """Zeros around images (b, c, h, w) so that stride 2 halves them, rounding up; the odd one at the end."""
    pads = []
    for size in (images.shape[3], images.shape[2]):
        missing = max((math.ceil(size / 2) - 1) * 2 + kernel - size, 0)
        pads += [missing // 2, missing - missing // 2]
    return F.pad(images, pads)


@dataclass(frozen=True)
class Bytes:
    """Text as it is: every byte an embedding plus a learned position.

    Raw (b, length) int64 below `vocabulary`. Raises ConfigError.

    The released model's 262 are 256 bytes after 6 special ones, of which 0 pads: what equals `padding` is not
    attended to. None attends to everything.
    """

    length: int = 2048
    channels: int = 768
    vocabulary: int = 262
    padding: int | None = 0
    init_std: float = 0.02

    def __post_init__(self) -> None:
        require_counts("Bytes", length=self.length, channels=self.channels, vocabulary=self.vocabulary)

    @property
    def shape(self) -> tuple[int, ...]:
        """Raw shape of one example."""
        return (self.length,)

    @property
    def elements(self) -> int:
        """Number of elements, m."""
        return self.length

    @property
    def element_channels(self) -> int:
        """Channels of an element, c."""
        return self.channels

    def parameters(self) -> int:
        """Number of trained values."""
        return (self.vocabulary + self.length) * self.channels

    def flops(self) -> int:
        """Operations that make the elements: none, embeddings are looked up."""
        return 0

    def build(self) -> ByteElements:
        """The module from a raw batch to elements (b, m, c)."""
        return ByteElements(self)


class ByteElements(nn.Module):
    """Embeddings of bytes plus those of their places."""

    def __init__(self, config: Bytes) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.channels)
        truncated_normal_(self.embedding.weight, config.init_std)
        table = torch.empty(config.length, config.channels)
        self.positions = nn.Parameter(truncated_normal_(table, config.init_std))

    def forward(self, raw: Tensor) -> Tensor:
        """Elements (b, m, c) of a raw batch. Raises InputError."""
        self._require_bytes(raw)
        elements: Tensor = self.embedding(raw) + self.positions
        return elements

    def kept(self, raw: Tensor) -> Tensor | None:
        """Which elements (b, m) are attended to; None for all."""
        return None if self.config.padding is None else raw != self.config.padding

    def _require_bytes(self, raw: object) -> None:
        length, vocabulary = self.config.length, self.config.vocabulary
        expected = f"Bytes expects int64 of shape (b, {length})"
        if not isinstance(raw, Tensor):
            raise InputError(f"{expected}, given {type(raw).__name__}")
        if raw.dtype != torch.int64 or raw.ndim != 2 or raw.shape[1] != length or raw.shape[0] == 0:
            raise InputError(
                f"{expected}, given {str(raw.dtype).removeprefix('torch.')} of shape {tuple(raw.shape)}"
            )
        if raw.device.type != "cpu" or torch.compiler.is_compiling():
            return
        if raw.min() < 0 or raw.max() >= vocabulary:
            raise InputError(
                f"{expected} from 0 to {vocabulary - 1}, given {int(raw.min())} to {int(raw.max())}"
            )
        if self.config.padding is not None and (raw == self.config.padding).all(dim=1).any():
            raise InputError(f"{expected} with some text in every example, given one of padding alone")

"""The specification of a Perceiver; the defaults are the paper's ImageNet model (docs/paper.md section 1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn

from perceiver import count
from perceiver.attention import Gelu
from perceiver.attention_maps import attention_maps, on_grids
from perceiver.decoder import Queries
from perceiver.errors import ConfigError, require_choice, require_counts, require_divisible
from perceiver.fusion import Fusion
from perceiver.io_inputs import Bytes, ConvolvedImage, LiftedImage
from perceiver.modalities import Audio, Image, Points, Spectrogram, Video
from perceiver.model import Perceiver
from perceiver.sharing import Place, Placement, Sharing, places

Inputs = Image | Audio | Spectrogram | Video | Points | Fusion | LiftedImage | ConvolvedImage | Bytes
QkvChannels = Literal["input", "min"]


@dataclass(frozen=True)
class PerceiverConfig:
    """Everything that makes a Perceiver.

    `blocks` latent Transformers of `self_attends_per_block` layers are applied, and `cross_attends` looks at
    the inputs taken between them or before them (`placement`). `sharing` is explained in `perceiver.sharing`.
    Queries, keys and values of the cross-attends are as wide as the elements ("input", the official code) or
    as the narrower of elements and latents ("min", paper appendix C). Without latent Transformers (Table
    5): no self-attends per block, as many blocks as cross-attends.

    In an `unrolled` model every cross-attend sees a part of the time of its own, the first of them the first
    (paper section 4.2: "one frame per cross-attend").

    Perceiver IO's models have a `decoder` in place of the mean over the latents; its language model also sets
    `qk_channels`, the width of queries and keys in all attends, with values as wide as the latents. Raises
    ConfigError.
    """

    inputs: Inputs
    num_latents: int = 512
    latent_channels: int = 1024
    blocks: int = 8
    self_attends_per_block: int = 6
    cross_attends: int = 8
    placement: Placement = "interleaved"
    sharing: Sharing = "published"
    cross_heads: int = 1
    self_heads: int = 8
    widening: int = 1
    latent_init_std: float = 0.02
    qkv_channels: QkvChannels = "input"
    gelu: Gelu = "tanh"
    num_classes: int = 1000
    qk_channels: int | None = field(default=None, metadata={"neutral": True})
    decoder: Queries | None = field(default=None, metadata={"neutral": True})
    unrolled: bool = field(default=False, metadata={"neutral": True})

    def __post_init__(self) -> None:
        owner = "PerceiverConfig"
        require_counts(
            owner,
            num_latents=self.num_latents,
            latent_channels=self.latent_channels,
            blocks=self.blocks,
            cross_attends=self.cross_attends,
            cross_heads=self.cross_heads,
            self_heads=self.self_heads,
            widening=self.widening,
            num_classes=self.num_classes,
        )
        require_counts(owner, at_least=0, self_attends_per_block=self.self_attends_per_block)
        require_choice(owner, "placement", self.placement, Placement)
        require_choice(owner, "sharing", self.sharing, Sharing)
        require_choice(owner, "qkv_channels", self.qkv_channels, QkvChannels)
        require_choice(owner, "gelu", self.gelu, Gelu)
        require_divisible(owner, "latent_channels", self.latent_channels, "self_heads", self.self_heads)
        require_divisible(
            owner, "width of the cross-attends", self.cross_attend_channels, "cross_heads", self.cross_heads
        )
        if not 0 < self.latent_init_std < math.inf:
            raise ConfigError(f"{owner}.latent_init_std must be positive, given {self.latent_init_std}")
        if self.qk_channels is not None:
            require_counts(owner, qk_channels=self.qk_channels)
            require_divisible(owner, "qk_channels", self.qk_channels, "self_heads", self.self_heads)
        require_divisible(
            owner, "width of the cross-attends' values", self.value_channels, "cross_heads", self.cross_heads
        )
        self._require_decoder_fits()
        if self.unrolled:
            if not isinstance(self.inputs, Audio | Spectrogram | Video):
                raise ConfigError(
                    f"{owner}.unrolled needs Audio, Spectrogram or Video, given {type(self.inputs).__name__}"
                )
            steps = self.inputs.frames if isinstance(self.inputs, Spectrogram) else self.inputs.axes[0]
            require_divisible(owner, "steps in time", steps, "cross_attends", self.cross_attends)
        if self.placement == "interleaved" and self.blocks % self.cross_attends:
            fitting = [t for t in range(1, self.blocks + 1) if self.blocks % t == 0]
            raise ConfigError(
                f"{owner}.cross_attends must divide blocks when interleaved, given {self.cross_attends} for "
                f"{self.blocks} blocks; try one of {fitting} or placement='at_start'"
            )

    def _require_decoder_fits(self) -> None:
        """Refuse a readout by the embeddings of bytes where the inputs or the classes are not those bytes."""
        if self.decoder is None:
            return
        queries, *widths = self.decoder.widths(self.latent_channels)
        for width in widths:
            require_divisible("Queries", "width", width, "heads", self.decoder.heads)
        if self.decoder.readout == "embedding":
            embedding = (self.num_classes, queries)
            given = (self.inputs.vocabulary, self.inputs.channels) if isinstance(self.inputs, Bytes) else None
            if given != embedding:
                raise ConfigError(
                    f"Queries.readout 'embedding' needs Bytes whose (vocabulary, channels) are (num_classes, "
                    f"Queries.channels), {embedding}, given {given or type(self.inputs).__name__}"
                )

    @property
    def seen_elements(self) -> int:
        """Number of elements that one cross-attend sees, m: all of them unless `unrolled`."""
        return self.inputs.elements // (self.cross_attends if self.unrolled else 1)

    @property
    def value_channels(self) -> int:
        """Width of the values in the cross-attends."""
        return self.cross_attend_channels if self.qk_channels is None else self.latent_channels

    @property
    def cross_attend_channels(self) -> int:
        """Width of queries and keys in the cross-attends, and of values unless qk_channels is set: 261 on
        ImageNet."""
        if self.qk_channels is not None:
            return self.qk_channels
        channels = self.inputs.element_channels
        return channels if self.qkv_channels == "input" else min(channels, self.latent_channels)

    @property
    def places(self) -> tuple[Place, ...]:
        """The network from input to output, and the module that serves each place."""
        return places(
            blocks=self.blocks,
            cross_attends=self.cross_attends,
            placement=self.placement,
            sharing=self.sharing,
        )

    @property
    def input_shape(self) -> tuple[int, ...] | Mapping[str, tuple[int, ...]]:
        """Raw shape of one example; by modality in a fusion."""
        return self.inputs.shape

    @property
    def num_outputs(self) -> int:
        """Number of logits."""
        return self.num_classes

    def build(self) -> Perceiver:
        """A new model, initialised from PyTorch's global random state."""
        return Perceiver(self)

    def attention(self, network: nn.Module, inputs: Tensor) -> list[Tensor]:
        """Where a Perceiver built of this looks in images: (b, height, width) for each cross-attend in turn,
        the mean over heads and latents; nothing where its inputs are no image.
        """
        if not isinstance(self.inputs, Image | LiftedImage | ConvolvedImage):
            return []
        assert isinstance(network, Perceiver)
        return [on_grids(network, each)["inputs"] for each in attention_maps(network, inputs)]

    def parameters(self) -> int:
        """Number of trained values, without building the model."""
        return count.parameters(self)

    def flops(self) -> int:
        """Forward operations per example, in the paper's convention; see `perceiver.count`."""
        return count.flops(self)

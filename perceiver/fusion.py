"""Several modalities as one list of elements (paper section 4.2).

The element lists are concatenated. Their channels are made equal by a learned vector per modality, appended
to all its elements: as long as needed, and at least `min_vector` long for the widest, so that each modality
is told from the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from einops import repeat
from torch import Tensor, nn

from perceiver.errors import ConfigError, InputError, require_choice, require_counts
from perceiver.initialise import lecun_linear, truncated_normal_
from perceiver.modalities import Audio, Image, Points, Spectrogram, Video

Equalise = Literal["vector", "linear"]


@dataclass(frozen=True)
class Modality:
    """One stream of a fusion; in training, an example's whole stream is zeroed with probability `dropout`.

    The paper zeroes "the entire video stream" with probability 0.3. That the positions stay is assumed. Of
    8-bit pixels it is what they stand for that is zeroed: they become the mean colour, not black.
    Raises ConfigError.
    """

    name: str
    inputs: Image | Audio | Spectrogram | Video | Points
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ConfigError(f"Modality.name must be an identifier, such as 'video', given {self.name!r}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"Modality.dropout must be a probability below 1, given {self.dropout}")


@dataclass(frozen=True)
class Fusion:
    """The elements of two or more modalities, one after the other; raw {name: (b, *shape)}.

    The paper gives the video's vector 4 channels; `vector_init_std` is the official code's (docs/paper.md
    section 1.6). It compares the vectors with a linear layer that makes channels equal (section 4.2): with
    `equalise` "linear" every modality has such a layer, to the width that the vectors would give (assumed),
    and no vector.
    """

    modalities: tuple[Modality, ...]
    min_vector: int = 4
    vector_init_std: float = 0.02
    equalise: Equalise = field(default="vector", metadata={"neutral": True})

    def __post_init__(self) -> None:
        require_counts("Fusion", at_least=1, min_vector=self.min_vector)
        names = [modality.name for modality in self.modalities]
        if len(names) < 2 or len(set(names)) < len(names):
            raise ConfigError(f"Fusion.modalities must be two or more of different names, given {names}")
        require_choice("Fusion", "equalise", self.equalise, Equalise)
        if self.vector_init_std <= 0:
            raise ConfigError(f"Fusion.vector_init_std must be positive, given {self.vector_init_std}")

    @property
    def shape(self) -> dict[str, tuple[int, ...]]:
        """Raw shape of one example, by modality."""
        return {modality.name: modality.inputs.shape for modality in self.modalities}

    @property
    def elements(self) -> int:
        """Number of elements of all modalities, m."""
        return sum(modality.inputs.elements for modality in self.modalities)

    @property
    def element_channels(self) -> int:
        """Channels of every element, c: those of the widest modality and of the shortest vector."""
        return max(modality.inputs.element_channels for modality in self.modalities) + self.min_vector

    @property
    def vector_channels(self) -> dict[str, int]:
        """Length of each modality's learned vector; none in a fusion by linear layers."""
        if self.equalise == "linear":
            return {}
        return {m.name: self.element_channels - m.inputs.element_channels for m in self.modalities}

    def parameters(self) -> int:
        """Number of trained values: modality vectors or linear layers, and any learned positions."""
        own = sum(m.inputs.parameters() for m in self.modalities)
        if self.equalise == "linear":
            c = self.element_channels
            return own + sum((m.inputs.element_channels + 1) * c for m in self.modalities)
        return own + sum(self.vector_channels.values())

    def flops(self) -> int:
        """Operations that make the elements, of all modalities."""
        own = sum(modality.inputs.flops() for modality in self.modalities)
        if self.equalise == "linear":
            c = self.element_channels
            own += sum(2 * m.inputs.elements * m.inputs.element_channels * c for m in self.modalities)
        return own

    def build(self) -> FusedElements:
        """The module from a raw batch {name: (b, *shape)} to elements (b, m, c)."""
        return FusedElements(self)


class FusedElements(nn.Module):
    """The elements of several modalities, made equally wide by their learned vectors or linear layers."""

    def __init__(self, fusion: Fusion) -> None:
        super().__init__()
        self.dropout = {modality.name: modality.dropout for modality in fusion.modalities}
        self.streams = nn.ModuleDict(
            {modality.name: modality.inputs.build() for modality in fusion.modalities}
        )
        self.vectors = nn.ParameterDict(
            {
                name: truncated_normal_(torch.empty(channels), fusion.vector_init_std)
                for name, channels in fusion.vector_channels.items()
            }
        )
        self.layers = nn.ModuleDict()
        if fusion.equalise == "linear":
            for modality in fusion.modalities:
                layer = lecun_linear(modality.inputs.element_channels, fusion.element_channels)
                self.layers[modality.name] = layer

    def forward(self, raw: Mapping[str, Tensor]) -> Tensor:
        """Elements (b, m, c) of a raw batch {name: (b, *shape)}. Raises InputError."""
        if not isinstance(raw, Mapping) or set(raw) != set(self.streams):
            given = sorted(raw) if isinstance(raw, Mapping) else type(raw).__name__
            raise InputError(
                f"Fusion expects a mapping with the modalities {sorted(self.streams)}, given {given}"
            )
        types = {name: type(raw[name]).__name__ for name in self.streams if not isinstance(raw[name], Tensor)}
        if types:
            raise InputError(f"Fusion expects a tensor for every modality, given {types}")
        sizes = {name: len(raw[name]) for name in self.streams}
        if len(set(sizes.values())) > 1:
            raise InputError(f"Fusion expects as many examples of every modality, given {sizes}")
        return torch.cat([self.stream(name, raw[name]) for name in self.streams], dim=1)

    def stream(self, name: str, raw: Tensor) -> Tensor:
        """One modality's elements (b, m_i, c), made as wide as all; in training, some have zeros as data."""
        kept = None
        if self.training and self.dropout[name] > 0:
            kept = torch.rand(len(raw), device=raw.device) >= self.dropout[name]
        elements: Tensor = self.streams[name](raw, kept)
        if name in self.layers:
            widened: Tensor = self.layers[name](elements)
            return widened
        b, m, _ = elements.shape
        return torch.cat([elements, repeat(self.vectors[name], "p -> b m p", b=b, m=m)], dim=-1)

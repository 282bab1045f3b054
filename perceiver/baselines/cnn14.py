"""CNN-14 (Kong et al., PANNs, TASLP 2020): six blocks of convolutions over a log-mel spectrogram."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from perceiver.baselines.baseline import Baseline
from perceiver.errors import ConfigError, require_counts
from perceiver.modalities import Spectrogram

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


@dataclass(frozen=True)
class CNN14(Baseline):
    """Pairs of 3 x 3 convolutions of `widths` channels, each pair but the last halving time and frequency.

    The paper's own spectrogram has 1,001 frames (10 s, hop 10 ms) of 64 bins. SpecAugment and mixup belong to
    the training, the spectrogram to the data. Raises ConfigError.
    """

    inputs: Spectrogram
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)
    num_classes: int = 527

    def __post_init__(self) -> None:
        require_counts("CNN14", num_classes=self.num_classes)
        for width in self.widths:
            require_counts("CNN14", widths=width)
        if self.inputs.positions is not None:
            raise ConfigError(
                f"CNN14 takes a spectrogram alone: Spectrogram.positions must be None, "
                f"given {type(self.inputs.positions).__name__}"
            )
        least = 2 ** (len(self.widths) - 1)
        if min(self.inputs.frames, self.inputs.bins) < least:
            raise ConfigError(
                f"CNN14 halves time and frequency {len(self.widths) - 1} times and needs {least} of each, "
                f"given {self.inputs.frames} frames of {self.inputs.bins} bins"
            )

    @property
    def elements_from(self) -> Spectrogram:
        return self.inputs

    @property
    def num_outputs(self) -> int:
        return self.num_classes

    def network(self) -> nn.Module:
        return CNN14Classifier(self)


class CNN14Classifier(nn.Module):
    """The values of a spectrogram (b, frames * bins, 1) -> logits (b, num_classes)."""

    def __init__(self, config: CNN14) -> None:
        super().__init__()
        self.bins = config.inputs.bins
        self.norm = nn.BatchNorm1d(self.bins)
        self.blocks = nn.ModuleList(
            convolutions(inputs, outputs) for inputs, outputs in pairwise((1, *config.widths))
        )
        self.embed = glorot(nn.Linear(config.widths[-1], config.widths[-1]))
        self.head = glorot(nn.Linear(config.widths[-1], config.num_classes))

    def forward(self, elements: Tensor) -> Tensor:
        """Logits (b, num_classes)."""
        values = self.norm(rearrange(elements, "b (t f) 1 -> b f t", f=self.bins))
        values = rearrange(values, "b f t -> b 1 t f")
        for depth, block in enumerate(self.blocks, start=1):
            values = block(values)
            if depth < len(self.blocks):
                values = F.avg_pool2d(values, 2)
            values = F.dropout(values, 0.2, self.training)
        over_time = values.mean(dim=3)
        summary = F.dropout(over_time.amax(dim=2) + over_time.mean(dim=2), 0.5, self.training)
        embedding = F.dropout(F.relu(self.embed(summary)), 0.5, self.training)
        logits: Tensor = self.head(embedding)
        return logits


def convolutions(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3 x 3 convolutions, each normalised over the batch and rectified; the grid stays as it is."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        convolution = glorot(nn.Conv2d(channels, outputs, 3, padding=1, bias=False))
        layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


def glorot(layer: Layer) -> Layer:
    """The layer with Glorot-uniform weights and zero bias, as the authors' code draws them."""
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer

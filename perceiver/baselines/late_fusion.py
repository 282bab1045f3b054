"""Late fusion by attention (Fayek and Kumar, IJCAI 2020): one model per modality, and weights between their
predictions.

For every class, an attention over the modalities weighs their logits; it is computed from the modality's own
predictions, so that it can trust the ear for one class and the eye for another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from perceiver.baselines.cnn14 import CNN14
from perceiver.baselines.resnet import ResNet
from perceiver.baselines.transformer import Transformer
from perceiver.baselines.vit import ViT
from perceiver.config import PerceiverConfig
from perceiver.count import OPERATIONS_PER_MULTIPLY_ADD, OPERATIONS_PER_SOFTMAX_ELEMENT, linear
from perceiver.errors import ConfigError, InputError


@dataclass(frozen=True)
class Stream:
    """One modality and the model that listens to it alone. Raises ConfigError."""

    name: str
    model: CNN14 | ResNet | ViT | Transformer | PerceiverConfig

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ConfigError(f"Stream.name must be an identifier, such as 'video', given {self.name!r}")
        if isinstance(self.model.input_shape, Mapping):
            raise ConfigError(f"Stream.model takes one modality, given {list(self.model.input_shape)}")


@dataclass(frozen=True)
class LateFusion:
    """Two or more streams of equal classes; raw {name: (b, *shape)}. Raises ConfigError.

    The streams train together from the start (assumed; the authors' are trained one by one, then fused). The
    attention sees probabilities, as theirs does; its one linear layer per modality is assumed.
    """

    streams: tuple[Stream, ...]

    def __post_init__(self) -> None:
        names = [stream.name for stream in self.streams]
        if len(names) < 2 or len(set(names)) < len(names):
            raise ConfigError(f"LateFusion.streams must be two or more of different names, given {names}")
        outputs = {stream.name: stream.model.num_outputs for stream in self.streams}
        if len(set(outputs.values())) > 1:
            raise ConfigError(f"LateFusion.streams must have equal numbers of classes, given {outputs}")

    @property
    def input_shape(self) -> dict[str, tuple[int, ...]]:
        """Raw shape of one example, by modality."""
        shapes = {stream.name: stream.model.input_shape for stream in self.streams}
        return {name: shape for name, shape in shapes.items() if isinstance(shape, tuple)}

    @property
    def num_outputs(self) -> int:
        """Number of logits."""
        return self.streams[0].model.num_outputs

    def build(self) -> LateFusionClassifier:
        """A new model, initialised from PyTorch's global random state."""
        return LateFusionClassifier(self)

    def parameters(self) -> int:
        """Number of trained values: the streams' and the attention's."""
        attention = len(self.streams) * linear(self.num_outputs, self.num_outputs)
        return attention + sum(stream.model.parameters() for stream in self.streams)

    def flops(self) -> int:
        """Forward operations per example, in the paper's convention; see `perceiver.count`."""
        k = self.num_outputs
        attention = OPERATIONS_PER_MULTIPLY_ADD * (k * k + k) + OPERATIONS_PER_SOFTMAX_ELEMENT * k
        return len(self.streams) * attention + sum(stream.model.flops() for stream in self.streams)


class LateFusionClassifier(nn.Module):
    """Raw {name: (b, *shape)} -> logits (b, num_outputs)."""

    def __init__(self, config: LateFusion) -> None:
        super().__init__()
        self.streams = nn.ModuleDict({stream.name: stream.model.build() for stream in config.streams})
        classes = config.num_outputs
        self.attention = nn.ModuleDict({name: nn.Linear(classes, classes) for name in self.streams})

    def forward(self, raw: Mapping[str, Tensor]) -> Tensor:
        """Logits (b, num_outputs). Raises InputError."""
        if not isinstance(raw, Mapping) or set(raw) != set(self.streams):
            given = sorted(raw) if isinstance(raw, Mapping) else type(raw).__name__
            raise InputError(
                f"LateFusion expects a mapping with the streams {sorted(self.streams)}, given {given}"
            )
        logits = {name: stream(raw[name]) for name, stream in self.streams.items()}
        scores = [self.attention[name](logits[name].sigmoid()) for name in logits]
        weights = torch.stack(scores).softmax(dim=0)
        return (weights * torch.stack(list(logits.values()))).sum(dim=0)

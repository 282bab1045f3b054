"""PointNet++ (Qi et al., NeurIPS 2017): set abstraction at a single scale, for classification.

A set abstraction picks centres that are far apart, gathers the points in a ball around each, and summarises
them by a perceptron and a maximum. Two of them and one over all that remains give a vector, and a perceptron
its logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from perceiver.baselines.baseline import Baseline
from perceiver.errors import ConfigError, require_counts
from perceiver.modalities import Points


@dataclass(frozen=True)
class SetAbstraction:
    """`centres` balls of `radius`, with up to `neighbours` points each, through linear layers of `widths`."""

    centres: int
    radius: float
    neighbours: int
    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        require_counts("SetAbstraction", centres=self.centres, neighbours=self.neighbours)
        for width in self.widths:
            require_counts("SetAbstraction", widths=width)
        if self.radius <= 0:
            raise ConfigError(f"SetAbstraction.radius must be positive, given {self.radius}")


@dataclass(frozen=True)
class PointNetPlusPlus(Baseline):
    """The single-scale network of the paper's appendix B.1, for coordinates alone. Raises ConfigError."""

    inputs: Points
    abstractions: tuple[SetAbstraction, ...] = (
        SetAbstraction(512, 0.2, 32, (64, 64, 128)),
        SetAbstraction(128, 0.4, 64, (128, 128, 256)),
    )
    global_widths: tuple[int, ...] = (256, 512, 1024)
    head_widths: tuple[int, ...] = (512, 256)
    dropout: float = 0.5
    num_classes: int = 40

    def __post_init__(self) -> None:
        require_counts("PointNetPlusPlus", num_classes=self.num_classes)
        for width in (*self.global_widths, *self.head_widths):
            require_counts("PointNetPlusPlus", widths=width)
        if self.inputs.positions is not None:
            raise ConfigError(
                f"PointNetPlusPlus measures raw distances: Points.positions must be None, "
                f"given {type(self.inputs.positions).__name__}"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"PointNetPlusPlus.dropout must be a probability below 1, given {self.dropout}")
        available = self.inputs.number
        for abstraction in self.abstractions:
            if abstraction.centres > available:
                raise ConfigError(
                    f"SetAbstraction.centres must not exceed the {available} points it is given, "
                    f"given {abstraction.centres}"
                )
            available = abstraction.centres

    @property
    def elements_from(self) -> Points:
        return self.inputs

    @property
    def num_outputs(self) -> int:
        return self.num_classes

    def network(self) -> nn.Module:
        return PointNetClassifier(self)


class PointNetClassifier(nn.Module):
    """Coordinates (b, m, d) -> logits (b, num_classes)."""

    def __init__(self, config: PointNetPlusPlus) -> None:
        super().__init__()
        dimensions, features = config.inputs.dimensions, 0
        self.abstract = nn.ModuleList()
        for abstraction in config.abstractions:
            self.abstract.append(Abstract(abstraction, dimensions + features))
            features = abstraction.widths[-1]
        self.summarise = perceptron((dimensions + features, *config.global_widths))
        widths = (config.global_widths[-1], *config.head_widths)
        self.head = nn.Sequential(
            *(nn.Sequential(perceptron(pair), nn.Dropout(config.dropout)) for pair in pairwise(widths)),
            nn.Linear(widths[-1], config.num_classes),
        )

    def forward(self, points: Tensor) -> Tensor:
        """Logits (b, num_classes)."""
        features = points.new_empty(*points.shape[:2], 0)
        for abstract in self.abstract:
            points, features = abstract(points, features)
        summary = self.summarise(torch.cat([points, features], dim=-1)).amax(dim=1)
        logits: Tensor = self.head(summary)
        return logits


class Abstract(nn.Module):
    """Points (b, m, d) with features (b, m, c) -> centres (b, s, d) with features (b, s, widths[-1])."""

    def __init__(self, abstraction: SetAbstraction, channels: int) -> None:
        super().__init__()
        self.centres, self.radius = abstraction.centres, abstraction.radius
        self.neighbours = abstraction.neighbours
        self.perceptron = perceptron((channels, *abstraction.widths))

    def forward(self, points: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Centres, and the features of the ball around each."""
        centres = gather(points, farthest_points(points, self.centres))
        near = ball(centres, points, radius=self.radius, neighbours=self.neighbours)
        offsets = gather(points, near) - centres.unsqueeze(2)
        return centres, self.perceptron(torch.cat([offsets, gather(features, near)], dim=-1)).amax(dim=2)


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Values (b, m, c) at places (b, ...) -> (b, ..., c)."""
    batch = torch.arange(len(values), device=values.device).view(-1, *[1] * (index.ndim - 1))
    return values[batch, index]


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """From each of a (b, s, d) to each of b (b, m, d): (b, s, m)."""
    return (a.unsqueeze(2) - b.unsqueeze(1)).square().sum(dim=-1)


def farthest_points(points: Tensor, number: int) -> Tensor:
    """Places (b, number) of points (b, m, d), the first, then each as far as possible from all before."""
    places = torch.zeros(len(points), number, dtype=torch.long, device=points.device)
    distance = torch.full(points.shape[:2], torch.inf, device=points.device)
    for i in range(1, number):
        last = gather(points, places[:, i - 1 : i])
        distance = torch.minimum(distance, squared_distances(last, points).squeeze(1))
        places[:, i] = distance.argmax(dim=1)
    return places


def ball(centres: Tensor, points: Tensor, *, radius: float, neighbours: int) -> Tensor:
    """Places (b, s, neighbours) of each centre's first points within the radius, filled up with the first."""
    outside = squared_distances(centres, points) > radius**2
    order = torch.arange(points.shape[1], device=points.device).expand(outside.shape)
    order = order.masked_fill(outside, points.shape[1])
    near = order.topk(min(neighbours, points.shape[1]), dim=-1, largest=False).values.sort(dim=-1).values
    return torch.where(near == points.shape[1], near[..., :1], near)


class ChannelsLastNorm(nn.BatchNorm1d):
    """Batch normalisation of the last axis over all others."""

    def forward(self, values: Tensor) -> Tensor:
        """Values (..., c) of mean 0 and variance 1 in every channel, scaled and moved."""
        return super().forward(values.flatten(0, -2)).view(values.shape)


def perceptron(widths: tuple[int, ...]) -> nn.Sequential:
    """(..., widths[0]) -> (..., widths[-1]) by linear layers, normalised over the batch and rectified."""
    layers = [
        nn.Sequential(nn.Linear(inputs, outputs), ChannelsLastNorm(outputs), nn.ReLU())
        for inputs, outputs in pairwise(widths)
    ]
    return nn.Sequential(*layers)

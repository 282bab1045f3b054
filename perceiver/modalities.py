"""What the elements of the inputs are, one specification per modality (docs/paper.md section 1.6).

Each names the raw shape of an example, the number of its elements (m) and their channels (c, positions
included), and builds the module from a raw batch (b, *shape) to elements (b, m, c). All raise ConfigError
where sizes disagree.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal

from perceiver.elements import GridElements, PointElements, Scaling
from perceiver.errors import ConfigError, require_choice, require_counts, require_divisible
from perceiver.positions import Fourier, Learned, Positions, position_channels

Combine = Literal["concat", "add"]


@dataclass(frozen=True)
class Pixels:
    """8-bit pixels as the raw batch; the data of an element is (pixel / 255 - mean) / std, by colour channel.

    They are scaled where they are looked at: a batch takes a quarter of the memory, on its way to the device
    too. Raises ConfigError.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std):
            raise ConfigError(
                f"Pixels.mean and std must be one number per channel each, given {self.mean} and {self.std}"
            )
        if not all(math.isfinite(mean) for mean in self.mean):
            raise ConfigError(f"Pixels.mean must be finite, given {self.mean}")
        if not all(0 < std < math.inf for std in self.std):
            raise ConfigError(f"Pixels.std must be positive, given {self.std}")

    @property
    def scaling(self) -> Scaling:
        """The same as factors and offsets."""
        scale = tuple(1 / (255 * std) for std in self.std)
        return Scaling(scale, tuple(-mean / std for mean, std in zip(self.mean, self.std, strict=True)))

    def require_channels(self, owner: str, channels: int) -> None:
        """Refuse, with ConfigError, another number of channels."""
        if len(self.mean) != channels:
            raise ConfigError(
                f"{owner}.pixels must have a mean and std per channel, {channels}, given {len(self.mean)}"
            )


class Grid(ABC):
    """Elements on a grid of one, two or three axes: data channels and the position features of the place."""

    positions: Positions

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Raw shape of one example."""

    @property
    @abstractmethod
    def axes(self) -> tuple[int, ...]:
        """Sizes of the grid of elements, the last axis fastest."""

    @property
    @abstractmethod
    def data_channels(self) -> int:
        """Channels of an element before its position features."""

    @abstractmethod
    def build(self) -> GridElements:
        """The module from a raw batch (b, *shape) to elements (b, m, c)."""

    @property
    def elements(self) -> int:
        """Number of elements, m."""
        return math.prod(self.axes)

    @property
    def element_channels(self) -> int:
        """Channels of an element, c: its data, then its position features."""
        return self.data_channels + position_channels(self.positions, len(self.axes))

    def parameters(self) -> int:
        """Number of trained values: the learned positions, if any."""
        return self.elements * self.positions.channels if isinstance(self.positions, Learned) else 0

    def flops(self) -> int:
        """Operations that make the elements: none are counted, nothing is multiplied."""
        return 0

    def require_positions_fit(self) -> None:
        """Refuse Fourier positions made for another number of axes."""
        if isinstance(self.positions, Fourier):
            self.positions.resolutions(len(self.axes))


@dataclass(frozen=True)
class Image(Grid):
    """Every pixel is an element; raw (b, height, width, channels).

    `permutation` is the seed of one fixed order of the elements, the same for all images, taken after the
    positions are attached (paper, Table 2). With `pixels` the raw batch is uint8, else float. Positions are
    appended to the channels; to `combine` them by "add" a linear layer lifts a pixel to their width first
    (assumed: the paper calls adding worse and does not say how it was done, section 3.2).
    """

    height: int
    width: int
    channels: int = 3
    positions: Positions = None
    permutation: int | None = None
    pixels: Pixels | None = field(default=None, metadata={"neutral": True})
    combine: Combine = field(default="concat", metadata={"neutral": True})

    def __post_init__(self) -> None:
        require_counts("Image", height=self.height, width=self.width, channels=self.channels)
        if self.permutation is not None:
            require_counts("Image", at_least=0, permutation=self.permutation)
        if self.pixels is not None:
            self.pixels.require_channels("Image", self.channels)
        require_choice("Image", "combine", self.combine, Combine)
        if self.combine == "add" and self.positions is None:
            raise ConfigError("Image.combine 'add' needs positions to add, given None")
        self.require_positions_fit()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.height, self.width, self.channels

    @property
    def axes(self) -> tuple[int, ...]:
        return self.height, self.width

    @property
    def data_channels(self) -> int:
        return self.channels

    @property
    def element_channels(self) -> int:
        features = position_channels(self.positions, len(self.axes))
        return features if self.combine == "add" else self.channels + features

    def parameters(self) -> int:
        lift = (self.channels + 1) * self.element_channels if self.combine == "add" else 0
        return super().parameters() + lift

    def flops(self) -> int:
        return 2 * self.elements * self.channels * self.element_channels if self.combine == "add" else 0

    def build(self) -> GridElements:
        return GridElements(
            "Image",
            lifted=self.channels if self.combine == "add" else None,
            shape=self.shape,
            pattern="b h w c -> b (h w) c",
            axes=self.axes,
            positions=self.positions,
            permutation=self.permutation,
            scaling=self.pixels.scaling if self.pixels else None,
        )


@dataclass(frozen=True)
class Audio(Grid):
    """Sound as it is: `patch` successive samples are an element (section 4.2: 128); raw (b, samples)."""

    samples: int
    patch: int = 128
    positions: Positions = None

    def __post_init__(self) -> None:
        require_counts("Audio", samples=self.samples, patch=self.patch)
        require_divisible("Audio", "samples", self.samples, "patch", self.patch)
        self.require_positions_fit()

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.samples,)

    @property
    def axes(self) -> tuple[int, ...]:
        return (self.samples // self.patch,)

    @property
    def data_channels(self) -> int:
        return self.patch

    def build(self) -> GridElements:
        return GridElements(
            "Audio",
            shape=self.shape,
            pattern="b (m patch) -> b m patch",
            axes=self.axes,
            positions=self.positions,
            sizes={"patch": self.patch},
        )


@dataclass(frozen=True)
class Spectrogram(Grid):
    """Every value of a spectrogram is an element (section 4.2: 4,800 of them); raw (b, frames, bins).

    `flat` gives the flattened values one position axis, as Perceiver IO's Table 6 lists it; otherwise they
    have two, time and frequency. The paper states neither.
    """

    frames: int
    bins: int
    positions: Positions = None
    flat: bool = True

    def __post_init__(self) -> None:
        require_counts("Spectrogram", frames=self.frames, bins=self.bins)
        self.require_positions_fit()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.frames, self.bins

    @property
    def axes(self) -> tuple[int, ...]:
        return (self.frames * self.bins,) if self.flat else (self.frames, self.bins)

    @property
    def data_channels(self) -> int:
        return 1

    def build(self) -> GridElements:
        return GridElements(
            "Spectrogram",
            shape=self.shape,
            pattern="b t f -> b (t f) 1",
            axes=self.axes,
            positions=self.positions,
        )


@dataclass(frozen=True)
class Video(Grid):
    """Every patch of frames x rows x columns is an element; raw (b, frames, height, width, channels).

    With `pixels` the raw batch is uint8, else float.
    """

    frames: int
    height: int
    width: int
    channels: int = 3
    patch: tuple[int, int, int] = (2, 8, 8)
    positions: Positions = None
    pixels: Pixels | None = field(default=None, metadata={"neutral": True})

    def __post_init__(self) -> None:
        require_counts(
            "Video", frames=self.frames, height=self.height, width=self.width, channels=self.channels
        )
        for axis, size, patch in zip(("frames", "height", "width"), self.shape, self.patch, strict=False):
            require_counts("Video", patch=patch)
            require_divisible("Video", axis, size, f"its patch {self.patch}", patch)
        if self.pixels is not None:
            self.pixels.require_channels("Video", self.channels)
        self.require_positions_fit()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.frames, self.height, self.width, self.channels

    @property
    def axes(self) -> tuple[int, ...]:
        t, h, w = self.patch
        return self.frames // t, self.height // h, self.width // w

    @property
    def data_channels(self) -> int:
        return math.prod(self.patch) * self.channels

    def build(self) -> GridElements:
        return GridElements(
            "Video",
            shape=self.shape,
            pattern="b (t pt) (h ph) (w pw) c -> b (t h w) (pt ph pw c)",
            axes=self.axes,
            positions=self.positions,
            sizes=dict(zip(("pt", "ph", "pw"), self.patch, strict=True)),
            scaling=self.pixels.scaling if self.pixels else None,
        )


@dataclass(frozen=True)
class Points:
    """Every point of a cloud is an element, known by its coordinates in [-1, 1]; raw (b, number, dimensions).

    The raw coordinates enter once, as part of the Fourier features (docs/paper.md section 1.6: 387 channels);
    with `coordinates` they are the data of the element too (390 channels); without positions they are the
    element. Learned positions would follow a point's index, which means
    nothing: refused.
    """

    number: int
    positions: Positions = None
    dimensions: int = 3
    coordinates: bool = field(default=False, metadata={"neutral": True})

    def __post_init__(self) -> None:
        require_counts("Points", number=self.number, dimensions=self.dimensions)
        match self.positions:
            case Learned():
                raise ConfigError(
                    "Points.positions must be Fourier or None, given Learned: a point's index is arbitrary"
                )
            case Fourier():
                self.positions.resolutions(self.dimensions)
            case None if self.coordinates:
                raise ConfigError(
                    "Points.coordinates are data beside Fourier positions, given positions None"
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """Raw shape of one example."""
        return self.number, self.dimensions

    @property
    def elements(self) -> int:
        """Number of elements, m."""
        return self.number

    @property
    def element_channels(self) -> int:
        """Channels of an element, c."""
        features = position_channels(self.positions, self.dimensions)
        return features + self.dimensions if self.coordinates else features or self.dimensions

    def parameters(self) -> int:
        """Number of trained values: none."""
        return 0

    def flops(self) -> int:
        """Operations that make the elements: none are counted, nothing is multiplied."""
        return 0

    def build(self) -> PointElements:
        """The module from coordinates (b, number, dimensions) to elements (b, m, c)."""
        fourier = self.positions if isinstance(self.positions, Fourier) else None
        return PointElements("Points", shape=self.shape, positions=fourier, coordinates=self.coordinates)

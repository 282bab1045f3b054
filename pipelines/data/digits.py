"""scikit-learn's handwritten digits: 1,797 real images of 8 x 8 pixels, inside the wheel, no download.

Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI (1998). Pixels are ink counts from 0 to
16. The splits are ours (assumed): by class, at random places, fixed for ever by the keys of the images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import SpecError
from pipelines.data.build import Prepared, Progress, build, silent
from pipelines.data.counter import Draws
from pipelines.data.plan import IMAGES, Entry, Plan
from pipelines.data.shards import Row
from pipelines.data.stream import Stream

VERSION = 1
SIDE = 8
HELD_OUT = {"test": 300, "validation": 300}

MEAN, STD = 4.8845, 6.0209
"""Of the training pixels; fixed, so that a prepared example never depends on the other examples."""


@dataclass(frozen=True)
class Digits:
    """The digits, (8, 8, 1) standardised floats.

    shift: training images are moved by up to so many pixels each way, with zeros moving in (assumed)
    """

    shift: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.shift < SIDE:
            raise SpecError(f"Digits.shift is in pixels, from 0 to {SIDE - 1}, got {self.shift}.")

    @property
    def name(self) -> str:
        return "digits"

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return (SIDE, SIDE, 1)

    @property
    def num_classes(self) -> int:
        return 10

    @property
    def full_sizes(self) -> dict[str, int]:
        """Examples in the splits, for forecasts before it is prepared."""
        return {"train": 1197, "validation": 300, "test": 300}

    @property
    def multi_label(self) -> bool:
        return False

    @property
    def columns(self) -> Sequence[str]:
        return ("label", "image")

    @property
    def threads(self) -> int:
        return 1

    def open(self, root: str) -> Stream:
        """The prepared digits under `root`. Raises MissingDataset with the command that prepares them."""
        return Stream.open(root, self, VERSION)

    def decode(self, row: Row, draws: Draws | None) -> tuple[NDArray[np.uint8], int]:
        """(8, 8) ink counts and the digit."""
        image = np.frombuffer(row["image"], np.uint8).reshape(SIDE, SIDE)
        if self.shift and draws:
            image = moved(
                image, draws.integer(-self.shift, self.shift), draws.integer(-self.shift, self.shift)
            )
        return image, row["label"]

    def collate(self, examples: Sequence[tuple[NDArray[np.uint8], int]]) -> tuple[Tensor, Tensor]:
        """(b, 8, 8, 1) floats with the training pixels' mean 0 and deviation 1, and (b,) digits."""
        images = np.empty((len(examples), *self.input_shape), np.float32)
        for place, (image, _) in enumerate(examples):
            images[place, :, :, 0] = image
        targets = torch.tensor([label for _, label in examples], dtype=torch.int64)
        return torch.from_numpy((images - np.float32(MEAN)) / np.float32(STD)), targets

    def picture(self, inputs: Tensor) -> NDArray[np.uint8]:
        """(8, 8) grey levels of one example's inputs, dark ink on white."""
        ink = inputs[:, :, 0].double().numpy() * STD + MEAN
        return np.asarray(255 - np.clip(np.rint(ink * 255 / 16), 0, 255), np.uint8)


def dataset() -> Digits:
    """The digits as they are."""
    return Digits()


def prepare(root: str, source: str | None = None, progress: Progress = silent) -> Prepared:
    """Writes the digits under `root`. They come with scikit-learn, so there is no source to name."""
    if source is not None:
        raise SpecError(
            f"digits come with scikit-learn and are made from no source, got {source!r}: leave it out."
        )
    return build(root, "digits", VERSION, _plan, progress=progress)


def moved(image: NDArray[np.uint8], down: int, right: int) -> NDArray[np.uint8]:
    """The image moved by whole pixels, zeros moving in."""
    padded = np.pad(image, SIDE)
    return padded[SIDE - down : 2 * SIDE - down, SIDE - right : 2 * SIDE - right]


def _plan() -> Plan:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images, labels = bunch.images.astype(np.uint8), bunch.target.astype(int)
    splits = {
        split: [Entry(f"{index:04d}", SIDE * SIDE, index) for index in members]
        for split, members in _split(labels).items()
    }
    return Plan(
        source=hashlib.sha256(images.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest()[:16],
        labels=tuple(str(digit) for digit in range(10)),
        schema=IMAGES,
        splits=splits,
        row=lambda entry: {
            "key": entry.key,
            "label": int(labels[entry.origin]),
            "image": images[entry.origin].tobytes(),
        },
        row_group_bytes=128 * SIDE * SIDE,
    )


def _split(labels: NDArray[np.int_]) -> dict[str, list[int]]:
    """Indices of each split. Going through every class at the same relative pace, any stretch holds them in
    equal proportion, to one example."""
    pace: list[tuple[float, int, int]] = []
    for digit in range(10):
        members = sorted(
            np.flatnonzero(labels == digit), key=lambda i: hashlib.sha256(f"{i:04d}".encode()).digest()
        )
        pace += [((rank + 0.5) / len(members), digit, int(index)) for rank, index in enumerate(members)]
    indices = [index for *_, index in sorted(pace)]
    splits, taken = {}, 0
    for split, size in HELD_OUT.items():
        splits[split] = indices[taken : taken + size]
        taken += size
    return {"train": indices[taken:], "validation": splits["validation"], "test": splits["test"]}

"""What is done to an AudioSet clip before a model hears and sees it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import DataError, SpecError
from pipelines.data.audio.log_mel import LogMel
from pipelines.data.audio.raw import RawAudio
from pipelines.data.audio.read import segment
from pipelines.data.audioset.labels import CLASSES
from pipelines.data.audioset.picture import picture
from pipelines.data.audioset.preparation import HELD_OUT, VERSION
from pipelines.data.audioset.spans import (
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    even_starts,
    random_start,
)
from pipelines.data.counter import Draws
from pipelines.data.shards import Row
from pipelines.data.stream import Stream
from pipelines.data.video.frames import Frames, Values
from pipelines.data.video.read import RATE
from pipelines.data.video.read import film as read_film

T = TypeVar("T")
Example = tuple[dict[str, Values], Sequence[int]]


@dataclass(frozen=True)
class AudioSet:
    """AudioSet as sound, video or both: what a model takes is `frames` video frames and their sound.

    audio: `RawAudio()`, (61440,) samples, or `LogMel()`, (60, 80) · video: `Frames()`, (32, 224, 224, 3).
    Where both are given the inputs are a mapping with `audio` and `video`. Targets are (b, num_classes)
    floats, 1 for each label. Training takes a random span of each recording (stated, section 4.2).
    Evaluation takes `clips` overlapping ones (stated: 16), evenly from start to end (assumed), as an axis
    behind the batch, (b, clips, *shape), to be scored one by one and averaged (`lab.clips`): with video at
    308 MB an example, 77 MB in 8 bits, so that evaluation.batch_size should be small. A recording that is too
    short goes on in silence, with its last frame; one without sound or without video has zeros instead (both
    assumed), which in 8 bits are the mean colour.
    """

    audio: RawAudio | LogMel | None = field(default_factory=RawAudio)
    video: Frames | None = field(default_factory=Frames)
    frames: int = 32
    clips: int = 16
    num_classes: int = CLASSES

    def __post_init__(self) -> None:
        if self.audio is None and self.video is None:
            raise SpecError(f"{type(self).__name__} needs audio, video or both, got none of them.")
        for name in ("frames", "clips", "num_classes"):
            if getattr(self, name) < 1:
                raise SpecError(f"{type(self).__name__}.{name} must be 1 or more, got {getattr(self, name)}.")
        if isinstance(self.audio, LogMel):
            self.audio.require_bands(SAMPLE_RATE)

    @property
    def full_sizes(self) -> dict[str, int]:
        """Examples in the splits, for forecasts without them: the 1.7 million of the paper (section 4.2), of
        which a share is held out here, and the 20,371 segments of the evaluation list."""
        held_out = 1_700_000 // HELD_OUT
        return {"train": 1_700_000 - held_out, "validation": held_out, "test": 20_371}

    @property
    def name(self) -> str:
        return "audioset"

    @property
    def input_shape(self) -> tuple[int, ...] | dict[str, tuple[int, ...]]:
        return one_or_both(self._shapes)

    @property
    def multi_label(self) -> bool:
        return True

    @property
    def columns(self) -> Sequence[str]:
        return ("key", "labels", "duration", "frames", *self._shapes)

    @property
    def threads(self) -> int:
        # Sound and video decode without the interpreter lock.
        return min(16, os.cpu_count() or 1)

    def open(self, root: str) -> Stream:
        """The prepared shards under `root`. Raises MissingDataset with the command that prepares them, and
        DataError when they are of another number of classes, or no clip has what is asked for.
        """
        stream = Stream.open(root, self, VERSION)
        if (found := len(stream.manifest.labels)) != self.num_classes:
            raise DataError(
                f"{self.name} under {root} has {found} classes, {type(self).__name__}.num_classes is "
                f"{self.num_classes}: set it, and the model's, to {found}."
            )
        rows = sum(split.rows for split in stream.manifest.splits)
        for modality in self._shapes:
            remarks = stream.manifest.remarks.items()
            if rows == sum(count for what, count in remarks if f"without {modality}" in what):
                raise DataError(
                    f"no clip of {self.name} under {root} has {modality}: "
                    f"set {modality} to null, or prepare it from clips that do."
                )
        return stream

    def decode(self, row: Row, draws: Draws | None) -> Example:
        """What is heard and seen in one span, or in each of `clips` spans; and the labels.

        Raises DataError naming a damaged clip.
        """
        total = self._length(row)
        if draws:
            starts = [random_start(total, self.frames, draws)]
        else:
            starts = even_starts(total, self.frames, self.clips)
        parts: dict[str, Values] = {}
        if self.video:
            with naming(f"video of clip {row['key']} of {self.name}"):
                parts["video"] = self._seen(self.video, row["video"], starts, draws)
        if self.audio:
            with naming(f"audio of clip {row['key']} of {self.name}"):
                parts["audio"] = self._heard(self.audio, row["audio"], starts, draws)
        return {name: part[0] if draws else part for name, part in parts.items()}, row["labels"]

    def collate(self, examples: Sequence[Example]) -> tuple[Tensor | dict[str, Tensor], Tensor]:
        """(b, *input_shape) floats or 8-bit pixels, or (b, clips, *input_shape) for evaluation, by modality
        where there are two; and (b, num_classes) floats, 1 for each label.
        """
        inputs = {
            name: np.stack([parts[name] for parts, _ in examples]) if examples else self._zeros(name, 0)
            for name in self._shapes
        }
        targets = torch.zeros(len(examples), self.num_classes)
        for target, (_, labels) in zip(targets, examples, strict=True):
            target[list(labels)] = 1
        return one_or_both({name: torch.from_numpy(part) for name, part in inputs.items()}), targets

    def picture(self, inputs: Tensor | Mapping[str, Tensor]) -> NDArray[np.uint8]:
        """Frames in a row and the sound below them, of one example's inputs; of the middle one of its clips
        where evaluation has several.
        """
        given = inputs if isinstance(inputs, Mapping) else dict.fromkeys(self._shapes, inputs)
        return picture(
            {
                name: (part if part.ndim == len(self._shapes[name]) else part[len(part) // 2]).numpy()
                for name, part in given.items()
            }
        )

    @property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Modality -> shape of one span."""
        shapes: dict[str, tuple[int, ...]] = {}
        if self.audio:
            shapes["audio"] = self.audio.shape(self.frames * SAMPLES_PER_FRAME)
        if self.video:
            shapes["video"] = self.video.shape(self.frames)
        return shapes

    def _zeros(self, modality: str, spans: int) -> Values:
        shape = (spans, *self._shapes[modality])
        return self.video.zeros(shape) if self.video and modality == "video" else np.zeros(shape, np.float32)

    def _length(self, row: Row) -> int:
        """Frames of a clip: those it has, or that its sound lasts where nothing is seen."""
        return (row["frames"] if self.video else 0) or round(row["duration"] * RATE)

    def _heard(
        self, audio: RawAudio | LogMel, data: memoryview | None, starts: Sequence[int], draws: Draws | None
    ) -> Values:
        """(spans, *shape) of the sound from each start on."""
        if not data:
            return self._zeros("audio", len(starts))
        first = starts[0] * SAMPLES_PER_FRAME
        samples = self.frames * SAMPLES_PER_FRAME
        sound = segment(data, first, starts[-1] * SAMPLES_PER_FRAME + samples - first)
        begins = [start * SAMPLES_PER_FRAME - first for start in starts]
        return np.stack([audio.of(sound[begin : begin + samples], SAMPLE_RATE, draws) for begin in begins])

    def _seen(
        self, video: Frames, data: memoryview | None, starts: Sequence[int], draws: Draws | None
    ) -> Values:
        """(spans, *shape) of the frames from each start on."""
        if not data:
            return self._zeros("video", len(starts))
        # All spans at once: going to each of them in the file would cost three times as much.
        film = read_film(data, starts[0], starts[-1] + self.frames - starts[0])
        values = video.values(video.of(film, draws))
        # A single span is all of it: it is copied once, into the batch.
        return (
            values[None]
            if len(starts) == 1
            else np.stack([values[start - starts[0] :][: self.frames] for start in starts])
        )


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Says of what it is that a DataError speaks."""
    try:
        yield
    except DataError as fault:
        raise DataError(f"{what}: {fault}") from None


def one_or_both(parts: dict[str, T]) -> T | dict[str, T]:
    """What a model of these modalities takes: a mapping only where there are several."""
    return parts if len(parts) > 1 else next(iter(parts.values()))


def dataset() -> AudioSet:
    """AudioSet as samples and video."""
    return AudioSet()

"""CPU time of an example, by the data set's own view: a program for benchmarks/data.py.

Of training, unless it is said to be of evaluation; of a video also that of its stages, one more in each line.
The stored rows are of real size, made here: ten seconds of sound at 48 kHz, as many of video of 340 x 256 at
25 frames a second, 8,192 points, a JPEG of 500 x 375.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "platform"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from torch import Tensor

from benchmarks.photographs import photographs
from pipelines.data import AudioSet, Frames, ImageNet, LogMel, ModelNet40, RawAudio
from pipelines.data.audio.transcode import flac
from pipelines.data.audioset.spans import random_start
from pipelines.data.counter import Draws
from pipelines.data.reader import View
from pipelines.data.shards import Row
from pipelines.data.video.read import film
from pipelines.data.video.transcode import encoded

REPETITIONS = 5
SECONDS = 10
GENERATOR = np.random.default_rng(0)
FRAMES = Frames(eight_bit=True)


def image() -> dict[str, Any]:
    return {"key": "image", "label": 0, "image": next(photographs(1))}


def points() -> dict[str, Any]:
    return {"key": "shape", "label": 0, "points": GENERATOR.normal(size=(8192, 3)).astype("<f4").tobytes()}


def clip() -> dict[str, Any]:
    """A falling tone in noise, and a photograph that moves."""
    time_of = np.arange(SECONDS * 48_000) / 48_000
    sound = 0.5 * np.sin(2 * np.pi * (2000 - 80 * time_of) * time_of) + 0.05 * GENERATOR.normal(
        size=len(time_of)
    )
    video, frames = encoded(moving())
    return {
        "key": "clip",
        "labels": [0],
        "audio": flac(sound.astype(np.float32)),
        "video": video,
        "duration": float(SECONDS),
        "frames": frames,
    }


def moving() -> Iterator[Any]:
    from av import VideoFrame
    from sklearn.datasets import load_sample_image

    scene = load_sample_image("china.jpg")
    for left in range(25 * SECONDS):
        shown = np.ascontiguousarray(scene[100:356, left : left + 340])
        yield VideoFrame.from_ndarray(shown, format="rgb24")


class Decoding(AudioSet):
    """No more than the decoding of a random span of video."""

    def decode(self, row: Row, draws: Draws | None) -> Any:
        assert draws
        return film(row["video"], random_start(row["frames"], self.frames, draws), self.frames)

    def collate(self, examples: Sequence[Any]) -> tuple[Tensor, Tensor]:
        return torch.empty(0), torch.empty(0)


class Evaluation(AudioSet):
    """Examples as evaluation sees them, whatever the draws."""

    def decode(self, row: Row, draws: Draws | None) -> Any:
        return super().decode(row, None)


VIEWS: dict[str, tuple[View, Callable[[], dict[str, Any]]]] = {
    "ImageNet, crop and flip alone": (ImageNet(augment=None), image),
    "ImageNet, RandAugment": (ImageNet(), image),
    "AudioSet, 61,440 samples": (AudioSet(audio=RawAudio(), video=None), clip),
    "AudioSet, log mel": (AudioSet(audio=LogMel(), video=None), clip),
    "AudioSet, 32 frames: decoded": (Decoding(), clip),
    "AudioSet, 32 frames: cut, mirrored, resized RGB": (AudioSet(None, replace(FRAMES, colour=None)), clip),
    "AudioSet, 32 frames: with other colours": (AudioSet(None, FRAMES), clip),
    "AudioSet, 32 frames: standardised floats": (AudioSet(None, Frames()), clip),
    "AudioSet, 61,440 samples and 32 frames": (AudioSet(RawAudio(), FRAMES), clip),
    "AudioSet, evaluation: 16 spans of 32 frames": (Evaluation(None, FRAMES), clip),
    "ModelNet40, 2,048 of 8,192 points": (ModelNet40(), points),
}


def milliseconds(view: View, row: dict[str, Any], *, at_least: float = 0.3) -> float:
    """CPU time of one example, the mean of as many as fill that time; every one has draws of its own."""
    done, start = 0, time.process_time()
    while time.process_time() - start < at_least:
        view.collate([view.decode(row, Draws.of(0, 0, done))])
        done += 1
    return 1e3 * (time.process_time() - start) / done


def main() -> None:
    """One line of JSON: view -> (bytes stored, milliseconds), the medians of some repetitions."""
    torch.set_num_threads(1)
    made = {make: make() for _, make in VIEWS.values()}
    times: dict[str, list[float]] = {name: [] for name in VIEWS}
    for _ in range(REPETITIONS):
        for name, (view, make) in VIEWS.items():
            times[name].append(milliseconds(view, made[make]))
    told = {}
    for name, (view, make) in VIEWS.items():
        read = [value for column in view.columns if isinstance(value := made[make][column], bytes)]
        told[name] = (sum(map(len, read)), statistics.median(times[name]))
    print(json.dumps(told))


if __name__ == "__main__":
    main()

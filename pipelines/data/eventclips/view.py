"""What is done to a clip of EventClips before a model hears and sees it: what is done to AudioSet's."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.data.audio.log_mel import LogMel
from pipelines.data.audio.raw import RawAudio
from pipelines.data.audioset import AudioSet
from pipelines.data.eventclips.events import EVENTS
from pipelines.data.eventclips.preparation import VERSION
from pipelines.data.stream import Stream
from pipelines.data.video.frames import Frames


def mel() -> LogMel:
    """15 frames of 12 bands from 0.32 s."""
    return LogMel(bins=12, hop=1024, masks=None)


def frames() -> Frames:
    """Frames of 16 pixels, without the crops and colours that would hide what tells sprites apart."""
    return Frames(size=16, colour=None, crop="centre")


@dataclass(frozen=True)
class EventClips(AudioSet):
    """EventClips as a spectrogram (15, 12), frames (8, 16, 16, 3) or both, in spans of 0.32 s, otherwise as
    AudioSet.
    """

    audio: RawAudio | LogMel | None = field(default_factory=mel)
    video: Frames | None = field(default_factory=frames)
    frames: int = 8
    clips: int = 1
    num_classes: int = len(EVENTS)

    @property
    def name(self) -> str:
        return "eventclips"

    @property
    def full_sizes(self) -> dict[str, int]:
        """Examples in the splits, for forecasts before it is prepared."""
        return {"train": 1960, "validation": 392, "test": 588}

    def open(self, root: str) -> Stream:
        """The prepared shards under `root`. Raises MissingDataset with the command that prepares them."""
        return Stream.open(root, self, VERSION)


def dataset() -> EventClips:
    """EventClips as spectrogram and video."""
    return EventClips()

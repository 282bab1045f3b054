"""What is done to a clip of EventClips before a model hears and sees it: what is done to AudioSet's."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.data.audio.log_mel import LogMel
from pipelines.data.audio.raw import RawAudio
from pipelines.data.audioset import AudioSet
from pipelines.data.eventclips.preparation import VERSION
from pipelines.data.eventclips.sounds import SOUNDS
from pipelines.data.stream import Stream
from pipelines.data.video.frames import Frames


def mel() -> LogMel:
    """15 frames of 16 bands from 0.64 s."""
    return LogMel(bins=16, hop=2048, masks=None)


def frames() -> Frames:
    """Frames of 24 pixels, without the crops and colours that would hide what tells sprites apart."""
    return Frames(size=24, colour=None, crop="centre")


@dataclass(frozen=True)
class EventClips(AudioSet):
    """EventClips as a spectrogram (15, 16), frames (16, 24, 24, 3) or both, in spans of 0.64 s, otherwise as
    AudioSet.
    """

    audio: RawAudio | LogMel | None = field(default_factory=mel)
    video: Frames | None = field(default_factory=frames)
    frames: int = 16
    clips: int = 1
    num_classes: int = len(SOUNDS)

    @property
    def name(self) -> str:
        return "eventclips"

    def open(self, root: str) -> Stream:
        """The prepared shards under `root`. Raises MissingDataset with the command that prepares them."""
        return Stream.open(root, self, VERSION)


def dataset() -> EventClips:
    """EventClips as spectrogram and video."""
    return EventClips()

"""EventClips: 2,100 generated clips of eight events, in place of AudioSet at laptop scale, no download."""

from pipelines.data.eventclips.preparation import VERSION, prepare
from pipelines.data.eventclips.view import EventClips, dataset, frames, mel

__all__ = ["VERSION", "EventClips", "dataset", "frames", "mel", "prepare"]

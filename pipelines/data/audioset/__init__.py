"""AudioSet: 10 s clips with any of 527 labels, from its lists and the clips that could be had."""

from pipelines.data.audioset.preparation import VERSION, prepare, prepare_as
from pipelines.data.audioset.view import AudioSet, dataset

__all__ = ["VERSION", "AudioSet", "dataset", "prepare", "prepare_as"]

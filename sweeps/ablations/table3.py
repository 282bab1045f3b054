"""Table 3: AudioSet from sound, from video and from both, for the Perceiver and two of its rivals."""

from __future__ import annotations

from lab import Ablation, Case, Scale
from sweeps.experiments import audioset

CASES = {
    "Perceiver raw audio": audioset.raw,
    "Perceiver mel spectrogram": audioset.mel,
    "Perceiver video": audioset.video,
    "Perceiver raw audio and video": audioset.raw_video,
    "Perceiver mel spectrogram and video": audioset.mel_video,
    "Perceiver mel spectrogram and video, tuned": audioset.mel_video_tuned,
    "CNN-14 mel spectrogram": audioset.cnn14,
    "Late fusion mel spectrogram and video": audioset.late_fusion,
}


def sweep(scale: Scale) -> Ablation:
    """A case for each model and what it is given; video alone is one, printed twice."""
    cases = tuple(Case(label, scale(experiment())) for label, experiment in CASES.items())
    return Ablation("table3", scale.name, cases, scale.seeds)

"""AudioSet's ablation that section 4.2 tells in words: whole modalities dropped in training."""

from __future__ import annotations

from lab import Ablation, Case, Scale
from sweeps.experiments import audioset

CASES = {
    "mel, no dropout": audioset.mel_video_all_seen,
    "mel, video dropout 0.3": audioset.mel_video,
    "raw, no dropout": audioset.raw_video_all_seen,
    "raw, video dropout 0.3": audioset.raw_video,
    "mel, tuned": audioset.mel_video_tuned,
}


def sweep(scale: Scale) -> Ablation:
    """With and without video dropout, and the tuned run; those with it are Table 3's."""
    cases = tuple(Case(label, scale(experiment())) for label, experiment in CASES.items())
    return Ablation("table3b", scale.name, cases, scale.seeds)

"""The Perceiver as its authors ran it again beside Perceiver IO: one cross-attend, and a later recipe."""

from __future__ import annotations

from lab import Ablation, Case, Scale
from sweeps.experiments import audioset, imagenet

CASES = {
    "ImageNet, Fourier": imagenet.fourier_official,
    "ImageNet, learned positions": imagenet.learned_official,
    "AudioSet, raw audio and video": audioset.raw_video_later,
    "AudioSet, mel spectrogram and video": audioset.mel_video_later,
}


def sweep(scale: Scale) -> Ablation:
    """Two runs on ImageNet and two on AudioSet. The laptop scale has one recipe for each data set, so there
    the two on ImageNet are those of the paper's own models with one cross-attend."""
    cases = tuple(Case(label, scale(experiment())) for label, experiment in CASES.items())
    return Ablation("reruns", scale.name, cases, scale.seeds)

"""AudioSet's comparison at laptop scale: EventClips, where sound and sight each show a part of what happens.

Sizes and recipe are chosen by hand, so that each trains in two minutes of one core.

    lab data prepare eventclips
    lab train eventclips.fused
"""

from __future__ import annotations

from dataclasses import replace

from lab import AdamW, CosineAfter, Epochs, Evaluation, ExperimentSpec, Tagging
from perceiver import Fourier, Fusion, Modality, Spectrogram, Video, variants
from pipelines.data import EventClips


def fused() -> ExperimentSpec:
    """Perceiver on spectrogram and video; training drops the video as the paper does (section 4.2)."""
    inputs = Fusion((Modality("audio", spectrogram()), Modality("video", video(), dropout=0.3)))
    return recipe(EventClips(), inputs)


def audio() -> ExperimentSpec:
    """Perceiver on the spectrogram alone."""
    return recipe(EventClips(video=None), spectrogram())


def sight() -> ExperimentSpec:
    """Perceiver on the video alone."""
    return recipe(EventClips(audio=None), video())


def recipe(data: EventClips, inputs: Spectrogram | Video | Fusion) -> ExperimentSpec:
    """A Perceiver on these inputs under a recipe for 1,056 steps."""
    model = replace(
        variants.audioset(inputs, latent_channels=32, num_latents=16),
        self_attends_per_block=1,
        self_heads=4,
        qkv_channels="min",
        num_classes=data.num_classes,
    )
    return ExperimentSpec(
        model=model,
        data=data,
        task=Tagging(),
        optimizer=AdamW(lr=2e-3, weight_decay=0.01),
        schedule=CosineAfter(flat=0.0),
        duration=Epochs(24),
        batch_size=32,
        clip=1.0,
        evaluation=Evaluation(every=Epochs(12), splits=("validation", "test")),
    )


def spectrogram() -> Spectrogram:
    """15 frames of 16 bands, with positions in both axes."""
    return Spectrogram(15, 16, positions=Fourier(bands=4, max_resolution=(15, 16)), flat=False)


def video() -> Video:
    """16 frames of 24 x 24 pixels in patches of 4 x 4 x 4."""
    return Video(16, 24, 24, patch=(4, 4, 4), positions=Fourier(bands=3, max_resolution=(4, 6, 6)))

"""AudioSet's comparison at laptop scale: EventClips, where sound and sight each show a part of what happens.

Sizes and recipe are chosen by hand, on the validation split; each trains in a minute or so of one core.

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
    """A Perceiver on these inputs under a recipe for 976 steps."""
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
        optimizer=AdamW(lr=3e-3, weight_decay=0.01),
        schedule=CosineAfter(flat=0.0),
        duration=Epochs(16),
        batch_size=32,
        clip=1.0,
        evaluation=Evaluation(every=Epochs(8), splits=("validation", "test")),
    )


def spectrogram() -> Spectrogram:
    """15 frames of 12 bands, with positions in both axes."""
    return Spectrogram(15, 12, positions=Fourier(bands=3, max_resolution=(15, 12)), flat=False)


def video() -> Video:
    """8 frames of 16 x 16 pixels in patches of 2 x 4 x 4."""
    return Video(8, 16, 16, patch=(2, 4, 4), positions=Fourier(bands=3, max_resolution=(4, 4, 4)))

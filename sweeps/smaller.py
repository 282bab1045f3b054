"""The paper's models, smaller, each for what stands in for its data: digits of 8 x 8 pixels for ImageNet's
images, MeshZoo for ModelNet40's clouds, EventClips for AudioSet's recordings.

What the ablations are about stays (the number, placement and sharing of cross-attends and latent
Transformers, the kind of positions, what is dropped), and sizes are divided. A size that an ablation changes
is divided in the same way, so its axis keeps its proportions."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import singledispatch
from typing import Any, cast

from lab import Model
from lab.errors import SpecError
from perceiver import (
    Audio,
    Fourier,
    Fusion,
    Image,
    Learned,
    Modality,
    PerceiverConfig,
    Points,
    Spectrogram,
    Video,
)
from perceiver.baselines import (
    CNN14,
    LateFusion,
    PointNetPlusPlus,
    ResNet,
    SetAbstraction,
    Stream,
    Transformer,
    ViT,
)
from perceiver.positions import Positions
from pipelines.data import AudioSet, Digits, EventClips, LogMel, MeshZoo, SpecAugment, eventclips
from pipelines.data.audioset.spans import SAMPLES_PER_FRAME
from sweeps.readings import MU

SHRINK = Fraction(3, 64)
"""of the latent array, along both of its axes: 512 x 1024 becomes 24 x 48, and AudioSet's 512 x 512 too"""
DIGITS, MESHES, CLIPS = Digits(), MeshZoo(), EventClips()
SAMPLES = CLIPS.frames * SAMPLES_PER_FRAME
VIDEO_DROPOUT = 0.5
"""Where the paper drops 0.3 of the videos; chosen by hand: 0.3 leaves a spectrogram unheard beside them."""
SPECTROGRAM_BANDS = 3
"""At most, chosen by hand: beside 34 channels of position from 8 bands, a spectrogram's one channel of sound
goes unheard by half of the seeds once there is a video to look at."""


@singledispatch
def smaller(model: Model) -> Model:
    """The model for what stands in for its data, by the kind of its inputs."""
    raise SpecError(
        f"the laptop scale cannot make {type(model).__name__} smaller: register a function with "
        "@sweeps.smaller.smaller.register, or run it as it is with --scale own."
    )


@smaller.register
def _(model: PerceiverConfig) -> Model:
    # The elements of clips do not shrink as the latents do: as wide as they, cross-attends would cost most.
    # And 24 latent channels were too few for two senses: sound and video did no better than sound alone.
    clips = isinstance(model.inputs, Audio | Spectrogram | Video | Fusion)
    return replace(
        model,
        inputs=smaller_inputs(model.inputs),
        num_latents=round(model.num_latents * SHRINK),
        latent_channels=round(model.latent_channels * SHRINK * (2 if clips else 1)),
        self_attends_per_block=_shallower(model.self_attends_per_block),
        self_heads=4,
        qkv_channels="min" if clips else model.qkv_channels,
        num_classes=classes(model.inputs),
    )


@smaller.register
def _(model: ResNet) -> Model:
    return replace(
        model,
        inputs=smaller_inputs(model.inputs),
        depths=(1, 1),
        widths=(16, 16),
        residual="basic",
        stem="3x3",
        stem_width=16,
        num_classes=classes(model.inputs),
    )


@smaller.register
def _(model: ViT) -> Model:
    return replace(
        model,
        inputs=smaller_inputs(model.inputs),
        patch=2 if isinstance(model.inputs, Image) else model.patch,
        width=64,
        depth=2,
        heads=4,
        widening=2,
        num_classes=classes(model.inputs),
    )


@smaller.register
def _(model: Transformer) -> Model:
    return replace(
        model,
        inputs=smaller_inputs(model.inputs),
        grid=None,
        width=48,
        depth=2,
        heads=2,
        num_classes=classes(model.inputs),
    )


@smaller.register
def _(model: PointNetPlusPlus) -> Model:
    return replace(
        model,
        inputs=smaller_inputs(model.inputs),
        abstractions=(SetAbstraction(48, 0.4, 16, (8, 8, 16)), SetAbstraction(12, 0.8, 16, (16, 16, 32))),
        global_widths=(32, 64),
        head_widths=(32,),
        num_classes=classes(model.inputs),
    )


@smaller.register
def _(model: CNN14) -> Model:
    # A short spectrogram cannot be halved as often as one of 60 frames.
    few = replace(smaller_inputs(model.inputs), flat=True)
    widths = (8, 16, 32, 64)[: min(few.frames, few.bins).bit_length()]
    return replace(model, inputs=few, widths=widths, num_classes=CLIPS.num_classes)


@smaller.register
def _(model: LateFusion) -> Model:
    few = (Stream(each.name, cast(CNN14 | PerceiverConfig, smaller(each.model))) for each in model.streams)
    return LateFusion(tuple(few))


def _shallower(self_attends: int) -> int:
    """A sixth of a block's self-attends, rounded up; of a few (Figure 5 sweeps around 4) a half."""
    return -(-self_attends // 6) if self_attends >= 6 else self_attends // 2


def classes(inputs: object) -> int:
    """Classes of what stands in for the data of such inputs."""
    data = DIGITS if isinstance(inputs, Image) else MESHES if isinstance(inputs, Points) else CLIPS
    return data.num_classes


def smaller_clips(data: AudioSet) -> EventClips:
    """EventClips heard and seen in the same ways, 3 spans of each averaged in evaluation."""
    sound = data.audio
    if isinstance(sound, LogMel):
        masks = SpecAugment(time_width=2, frequency_width=2) if sound.masks else None
        sound = replace(eventclips.mel(), masks=masks)
    film = replace(eventclips.frames(), eight_bit=data.video.eight_bit) if data.video else None
    return EventClips(audio=sound, video=film, clips=3)


@singledispatch
def smaller_inputs(inputs: Any) -> Any:
    """The same kind of elements, fewer, with an eighth of the bands, up to the Nyquist frequency."""
    raise SpecError(
        f"the laptop scale has no data for {type(inputs).__name__}: "
        "run the experiment as it is with --scale own."
    )


@smaller_inputs.register
def _(inputs: Image) -> Image:
    few = replace(inputs, height=8, width=8, channels=1, positions=None, pixels=None)
    return replace(few, positions=_fewer(inputs.positions, 8))


@smaller_inputs.register
def _(inputs: Points) -> Points:
    # Points lie on no grid; 16 in place of 2,240 was chosen by hand.
    positions = inputs.positions
    resolution = (
        positions.resolutions(inputs.dimensions)[0] * 16 / MU if isinstance(positions, Fourier) else 2
    )
    return replace(inputs, number=MESHES.points, positions=_fewer(positions, resolution))


@smaller_inputs.register
def _(inputs: Audio) -> Audio:
    return replace(inputs, samples=SAMPLES, positions=_fewer(inputs.positions, SAMPLES // inputs.patch))


@smaller_inputs.register
def _(inputs: Spectrogram) -> Spectrogram:
    """With positions in both axes: so few bands could not tell them apart in one."""
    frames, bins = eventclips.mel().shape(SAMPLES)
    positions = _fewer(inputs.positions, (frames, bins))
    if isinstance(positions, Fourier):
        positions = replace(positions, bands=min(positions.bands, SPECTROGRAM_BANDS))
    return replace(inputs, frames=frames, bins=bins, positions=positions, flat=False)


@smaller_inputs.register
def _(inputs: Video) -> Video:
    frames, height, width, _ = eventclips.frames().shape(CLIPS.frames)
    few = replace(inputs, frames=frames, height=height, width=width, patch=(2, 4, 4), positions=None)
    return replace(few, positions=_fewer(inputs.positions, few.axes))


@smaller_inputs.register
def _(inputs: Fusion) -> Fusion:
    def smaller(each: Modality) -> Modality:
        dropout = VIDEO_DROPOUT if each.name == "video" and each.dropout else each.dropout
        return replace(each, inputs=smaller_inputs(each.inputs), dropout=dropout)

    return replace(inputs, modalities=tuple(map(smaller, inputs.modalities)))


def _fewer(positions: Positions, resolution: float | tuple[int, ...]) -> Positions:
    if isinstance(positions, Fourier):
        return replace(positions, bands=max(1, positions.bands // 8), max_resolution=resolution)
    if isinstance(positions, Learned):
        return replace(positions, channels=max(1, positions.channels // 8))
    return positions

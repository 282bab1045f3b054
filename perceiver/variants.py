"""The paper's models, each as a function of another or of the defaults (docs/paper.md sections 1.6 and 2).

What each value rests on is written beside it:
    stated    in the paper, at the place given
    derived   follows from printed numbers (docs/paper.md)
    assumed   not in the paper; the reason is given
"""

from __future__ import annotations

from dataclasses import replace

from perceiver.config import PerceiverConfig
from perceiver.decoder import Queries
from perceiver.fusion import Fusion, Modality
from perceiver.io_inputs import Bytes, ConvolvedImage, LiftedImage
from perceiver.modalities import Audio, Image, Pixels, Points, Spectrogram, Video
from perceiver.positions import Fourier, Learned
from perceiver.sharing import Placement

IMAGENET_CLASSES = 1000  # stated, section 4.1
AUDIOSET_CLASSES = 527  # stated, section 4.2
MODELNET40_CLASSES = 40  # stated, section 4.3


def imagenet(*, cross_attends: int = 8, placement: Placement = "interleaved") -> PerceiverConfig:
    """The main model: 78.0 % (Table 1), 44.9M parameters, 707.2 GFLOP; the arguments make Table 6's rows."""
    positions = Fourier(bands=64, max_resolution=224)  # stated, appendix C
    return PerceiverConfig(
        inputs=Image(224, 224, channels=3, positions=positions),  # stated, section 4.1
        num_latents=512,  # stated, section 4.1
        latent_channels=1024,  # stated, section 4.1
        blocks=8,  # stated, section 4.1
        self_attends_per_block=6,  # stated, section 4.1
        cross_attends=cross_attends,  # stated, section 4.1: 8
        placement=placement,  # stated, Table 6; even spacing of 2 and 4 assumed, the slots are not given
        sharing="published",  # derived: 44,912,254 parameters; the text contradicts itself
        cross_heads=1,  # stated, section 4.1
        self_heads=8,  # derived: the printed operations leave 5.9 to 8.4; the official code has 8
        widening=1,  # stated, appendix C
        latent_init_std=0.02,  # stated, appendix C
        qkv_channels="input",  # assumed: the official code; here it equals the paper's minimum
        gelu="tanh",  # assumed: the official code
        num_classes=IMAGENET_CLASSES,
    )


def imagenet_unshared() -> PerceiverConfig:
    """The main model without weight sharing: 72.9 %, 326.2M parameters (Table 7)."""
    return replace(imagenet(), sharing="none")  # stated, Table 7


def imagenet_learned() -> PerceiverConfig:
    """Learned positions: 70.9 % (Table 2); to be compared with one cross-attend, 76.7 % (Table 6)."""
    positions = Learned(channels=128, init_std=1.0)  # stated, section 4.1 and appendix B
    return replace(
        imagenet(cross_attends=1),  # stated, section 4.1: more were unstable
        inputs=Image(224, 224, channels=3, positions=positions),
    )


def no_latent_transformer(cross_attends: int) -> PerceiverConfig:
    """Cross-attends alone, none shared: 39.4 % with 4, 45.3 % with 8, 12 did not fit (Table 5)."""
    return replace(
        imagenet(),
        cross_attends=cross_attends,  # stated, Table 5
        blocks=cross_attends,
        self_attends_per_block=0,  # stated, appendix B
        sharing="none",  # stated, appendix B
    )


def modelnet40() -> PerceiverConfig:
    """Point clouds: 85.7 % (Table 4)."""
    return replace(
        imagenet(),  # stated, section 4.3: other settings as on ImageNet
        inputs=Points(
            2048,  # stated in the paper's first version; "around 2000" in the second
            positions=Fourier(
                bands=64,  # stated, section 4.3
                max_resolution=2240,  # derived: twice the stated maximum frequency, 1120
            ),
        ),
        cross_attends=2,  # stated, section 4.3
        blocks=2,  # derived: 12 self-attends in all
        self_attends_per_block=6,  # stated, section 4.3
        num_classes=MODELNET40_CLASSES,
    )


def audioset_raw(*, latent_channels: int = 512) -> PerceiverConfig:
    """Sound as samples: mAP 38.3 (Table 3)."""
    return audioset(_raw_audio(), latent_channels)


def audioset_mel(*, latent_channels: int = 512) -> PerceiverConfig:
    """Sound as a mel spectrogram: mAP 38.4 (Table 3)."""
    return audioset(_mel_spectrogram(), latent_channels)


def audioset_video(*, latent_channels: int = 512, pixels: Pixels | None = None) -> PerceiverConfig:
    """Video alone: mAP 25.8 (Table 3). With `pixels`, here and below, it is given as 8-bit values."""
    return audioset(_video(pixels), latent_channels)


def audioset_raw_video(
    *, latent_channels: int = 512, video_dropout: float = 0.3, pixels: Pixels | None = None
) -> PerceiverConfig:
    """Samples and video: mAP 43.5 (Table 3), 39.7 without video dropout (section 4.2)."""
    return audioset(_with_video(_raw_audio(), _video(pixels), video_dropout), latent_channels)


def audioset_mel_video(
    *,
    latent_channels: int = 512,
    video_dropout: float = 0.3,
    audio_dropout: float = 0.0,
    pixels: Pixels | None = None,
) -> PerceiverConfig:
    """Spectrogram and video: mAP 43.2 (Table 3); 39.9 without video dropout; 44.2 tuned (0.1 of audio)."""
    video = _video(pixels)
    return audioset(_with_video(_mel_spectrogram(), video, video_dropout, audio_dropout), latent_channels)


def audioset(
    inputs: Audio | Spectrogram | Video | Fusion, latent_channels: int, num_latents: int = 512
) -> PerceiverConfig:
    """The AudioSet model on any of its inputs (section 4.2)."""
    return replace(
        imagenet(),  # stated, section 4.2: "a faster version" of it; what else differs is not
        inputs=inputs,
        num_latents=num_latents,  # assumed: Perceiver IO's runs on the same data
        latent_channels=latent_channels,  # assumed: Perceiver IO's runs on the same data, 512 and 1024
        cross_attends=2,  # stated, section 4.2
        blocks=2,  # derived: 16 self-attends in all
        self_attends_per_block=8,  # stated, section 4.2
        sharing="none",  # stated, section 4.2
        num_classes=AUDIOSET_CLASSES,
    )


def audioset_later(model: PerceiverConfig) -> PerceiverConfig:
    """An AudioSet model as its authors ran it again: 42.4 % with samples, 43.6 % with a spectrogram, 21.0M
    parameters, 52.3 and 60.7 GFLOP (Perceiver IO, Table 10)."""
    # Stated there: one cross-attend, 12 self-attends, 512 latents of 512 channels.
    return replace(model, cross_attends=1, blocks=1, self_attends_per_block=12)


def _raw_audio() -> Audio:
    return Audio(
        samples=61_440,  # derived: 1.28 s at 48 kHz, both stated in section 4.2
        patch=128,  # stated, section 4.2
        positions=Fourier(
            bands=64, max_resolution=480
        ),  # assumed: bands as on ImageNet, the grid's resolution
    )


def _mel_spectrogram() -> Spectrogram:
    return Spectrogram(
        frames=60,  # assumed: 60 x 80 = the stated 4,800, with a hop of 1,024 samples
        bins=80,  # assumed
        positions=Fourier(
            bands=64, max_resolution=4800
        ),  # assumed: bands as on ImageNet, the grid's resolution
    )


def _video(pixels: Pixels | None) -> Video:
    return Video(
        frames=32,  # stated, section 4.2
        height=224,  # stated, section 4.2
        width=224,  # stated, section 4.2
        patch=(2, 8, 8),  # stated, section 4.2
        positions=Fourier(
            bands=16,  # derived: 487 channels = 384 + 3 (2 x 16 + 1) + 4
            max_resolution=(16, 28, 28),  # assumed: the resolution of the grid of patches
        ),
        pixels=pixels,
    )


def _with_video(
    sound: Audio | Spectrogram, video: Video, video_dropout: float, audio_dropout: float = 0.0
) -> Fusion:
    return Fusion(
        (
            Modality("audio", sound, dropout=audio_dropout),  # stated, section 4.2: 0.1 in the tuned run
            Modality("video", video, dropout=video_dropout),  # stated, section 4.2: 0.3
        ),
        min_vector=4,  # stated, section 4.2
    )


def figure5_base() -> PerceiverConfig:
    """The small model around which Figure 5 sweeps: about 70.3 %."""
    return replace(
        imagenet(),
        num_latents=512,  # stated, appendix B
        latent_channels=512,  # stated, appendix B
        cross_attends=2,  # stated, appendix B
        blocks=2,  # assumed: every cross-attend brings its block
        self_attends_per_block=4,  # stated, appendix B
        sharing="none",  # stated, appendix B
    )


def figure5() -> dict[str, dict[int, PerceiverConfig]]:
    """Figure 5: the models of each panel by the value swept; stated, the values are the printed ticks."""
    base = figure5_base()
    return {
        "num_latents": {n: replace(base, num_latents=n) for n in (256, 512, 1024)},
        "latent_channels": {d: replace(base, latent_channels=d) for d in (256, 512, 1024)},
        "self_attends_per_block": {depth: replace(base, self_attends_per_block=depth) for depth in (2, 4, 8)},
        # That a cross-attend more brings a block more is assumed.
        "cross_attends": {t: replace(base, cross_attends=t, blocks=t) for t in (1, 2, 4)},
    }


def figure6() -> dict[str, dict[float, PerceiverConfig]]:
    """Figure 6: latent scale, number of bands and maximum resolution of the main model.

    The paper's values are legible in no source at hand. These are assumed, around those its text names:
    scales 0.02 (the default), 0.1 (diverged) and 1 (unstable); 64 bands; a resolution of 224, the Nyquist
    limit.
    """
    base = imagenet()

    def positions(bands: int, max_resolution: int) -> PerceiverConfig:
        return replace(base, inputs=Image(224, 224, positions=Fourier(bands, max_resolution)))

    return {
        "latent_init_std": {std: replace(base, latent_init_std=std) for std in (0.001, 0.02, 0.1, 1.0)},
        "bands": {bands: positions(bands, 224) for bands in (8, 16, 32, 64)},
        "max_resolution": {resolution: positions(64, resolution) for resolution in (56, 112, 224)},
    }


def io_imagenet_fourier() -> PerceiverConfig:
    """Perceiver IO on pixels with Fourier positions, the checkpoint deepmind/vision-perceiver-fourier."""
    return replace(
        imagenet(cross_attends=1),
        gelu="exact",  # derived: the converted checkpoints; DeepMind's own code has tanh
        decoder=Queries(),
    )


def io_imagenet_learned() -> PerceiverConfig:
    """Perceiver IO on lifted pixels, the checkpoint deepmind/vision-perceiver-learned."""
    return replace(io_imagenet_fourier(), inputs=LiftedImage(224, 224))


def io_imagenet_conv() -> PerceiverConfig:
    """Perceiver IO on convolved pixels, the checkpoint deepmind/vision-perceiver-conv."""
    return replace(io_imagenet_fourier(), inputs=ConvolvedImage(224, 224, padding="hugging_face"))


def io_language() -> PerceiverConfig:
    """Perceiver IO's masked language model of bytes, the checkpoint deepmind/language-perceiver."""
    return PerceiverConfig(
        inputs=Bytes(length=2048, channels=768, vocabulary=262),
        num_latents=256,
        latent_channels=1280,
        blocks=1,
        self_attends_per_block=26,
        cross_attends=1,
        cross_heads=8,
        self_heads=8,
        gelu="exact",
        num_classes=262,
        qk_channels=256,
        decoder=Queries(
            number=2048,
            channels=768,
            qk_channels=256,
            value_channels=768,
            heads=8,
            residual=False,
            readout="embedding",
        ),
    )

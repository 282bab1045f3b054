"""The Perceiver (Jaegle et al., ICML 2021, arXiv 2103.03206): the model, its variants and its counts.

Axes have the same letters everywhere: b batch, m inputs (elements), n latents, c input channels, d latent
width, h heads.
"""

from perceiver.config import Inputs, PerceiverConfig
from perceiver.decoder import Queries
from perceiver.errors import ConfigError, InputError
from perceiver.fusion import Fusion, Modality
from perceiver.io_inputs import Bytes, ConvolvedImage, LiftedImage
from perceiver.modalities import Audio, Image, Pixels, Points, Spectrogram, Video
from perceiver.model import Perceiver
from perceiver.positions import Fourier, Learned, Positions

__all__ = [
    "Audio",
    "Bytes",
    "ConfigError",
    "ConvolvedImage",
    "Fourier",
    "Fusion",
    "Image",
    "InputError",
    "Inputs",
    "Learned",
    "LiftedImage",
    "Modality",
    "Perceiver",
    "PerceiverConfig",
    "Pixels",
    "Points",
    "Positions",
    "Queries",
    "Spectrogram",
    "Video",
]

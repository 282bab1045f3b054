"""The paper's ambiguities, and how each can be read (docs/paper.md sections 1.5 to 1.7, 3.1 and 7).

    lab tables table6 --reading sharing=first_block_own

The first reading of each is what `sweeps.experiments` states, and why is said beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lab import ExperimentSpec
from lab.readings import Ambiguity
from perceiver import Fourier, Fusion, PerceiverConfig, Points, Video
from perceiver.sharing import Sharing
from pipelines.data import AudioSet, ImageNet

MU = 2 * 1120
"""of ModelNet40's clouds, where the stated 1,120 is the highest frequency"""


def as_stated(spec: ExperimentSpec) -> ExperimentSpec:
    """What the experiment says."""
    return spec


def sharing(mode: Sharing) -> Callable[[ExperimentSpec], ExperimentSpec]:
    """Perceivers that share blocks as published share them in that mode."""

    def reading(spec: ExperimentSpec) -> ExperimentSpec:
        model = spec.model
        if isinstance(model, PerceiverConfig) and model.sharing == "published":
            return replace(spec, model=replace(model, sharing=mode))
        return spec

    return reading


def clouds(change: Callable[[Points], Points]) -> Callable[[ExperimentSpec], ExperimentSpec]:
    """Models of clouds with Fourier positions see changed ones."""

    def reading(spec: ExperimentSpec) -> ExperimentSpec:
        model: Any = spec.model
        inputs = getattr(model, "inputs", None)
        if isinstance(inputs, Points) and isinstance(inputs.positions, Fourier):
            return replace(spec, model=replace(model, inputs=change(inputs)))
        return spec

    return reading


def half_the_frequencies(inputs: Points) -> Points:
    """1,120 as the sampling rate: frequencies up to 560."""
    assert isinstance(inputs.positions, Fourier)
    return replace(inputs, positions=replace(inputs.positions, max_resolution=MU / 2))


def batch_of_512(spec: ExperimentSpec) -> ExperimentSpec:
    """The main ImageNet runs in batches of 512, the batch that is stated for ModelNet40."""
    main = isinstance(spec.data, ImageNet) and spec.batch_size == 1024
    return replace(spec, batch_size=512) if main else spec


def wide_latents(spec: ExperimentSpec) -> ExperimentSpec:
    """AudioSet's Perceivers with 1,024 latent channels, the other width of Perceiver IO's runs."""
    model = spec.model
    if isinstance(spec.data, AudioSet) and isinstance(model, PerceiverConfig):
        return replace(spec, model=replace(model, latent_channels=1024))
    return spec


def all_video_bands(spec: ExperimentSpec) -> ExperimentSpec:
    """64 bands for video too, as Perceiver IO's appendix G says of all its settings."""
    model = spec.model
    if not isinstance(model, PerceiverConfig):
        return spec
    inputs = model.inputs
    if isinstance(inputs, Fusion):
        parts = (replace(m, inputs=_all_bands(m.inputs)) for m in inputs.modalities)
        return replace(spec, model=replace(model, inputs=replace(inputs, modalities=tuple(parts))))
    return replace(spec, model=replace(model, inputs=_all_bands(inputs)))


def _all_bands(inputs: Any) -> Any:
    if isinstance(inputs, Video) and isinstance(inputs.positions, Fourier):
        return replace(inputs, positions=replace(inputs.positions, bands=64))
    return inputs


AMBIGUITIES = {
    "sharing": Ambiguity(
        "Does the first latent Transformer share its weights?",
        "section 4.1 says no, section 3.1 and Table 7 say yes; the printed 44.9M parameters decide: yes",
        {"published": as_stated, "first_block_own": sharing("first_block_own")},
    ),
    "cloud_frequency": Ambiguity(
        "Is ModelNet40's maximum frequency of 1,120 the highest frequency, or the rate whose half it is?",
        "section 4.3 calls it ten times ImageNet's, whose highest frequency is 112",
        {"highest": as_stated, "rate": clouds(half_the_frequencies)},
    ),
    "cloud_features": Ambiguity(
        "Are a point's raw coordinates an input beside its Fourier features, which hold them already?",
        "section 4.3 does not say: 387 or 390 channels",
        {
            "positions": as_stated,
            "coordinates": clouds(lambda inputs: replace(inputs, coordinates=True)),
        },
    ),
    "batch": Ambiguity(
        "How large were ImageNet's batches?",
        "section 4.1 does not say; appendix B calls 256 on 16 TPUs smaller, so 1,024 on 64",
        {"1024": as_stated, "512": batch_of_512},
    ),
    "audioset_width": Ambiguity(
        "How many channels have AudioSet's latents?",
        "section 4.2 does not say; Perceiver IO's runs on the same data have 512 and 1,024",
        {"512": as_stated, "1024": wide_latents},
    ),
    "video_bands": Ambiguity(
        "How many Fourier bands has video?",
        "487 channels of the fused elements leave 16; Perceiver IO's appendix G says 64 everywhere",
        {"16": as_stated, "64": all_video_bands},
    ),
}

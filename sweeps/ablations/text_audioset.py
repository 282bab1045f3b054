"""What the paper says of AudioSet without numbers: SpecAugment, modality vectors, and time unrolled."""

from __future__ import annotations

from typing import Any

from lab import Ablation, Case, ExperimentSpec, Scale
from sweeps.experiments import audioset

FOUR = {"model.cross_attends": 4, "model.blocks": 4}
UNROLLED = FOUR | {"model.unrolled": True}
"""The paper gives every cross-attend one frame; four of them, for four parts of the time, are assumed."""


def sweep(scale: Scale) -> Ablation:
    """Each change beside what it changes."""
    mel, both = scale(audioset.mel()), scale(audioset.mel_video())
    raw, video = scale(audioset.raw()), scale(audioset.video())
    cases = (
        _case("mel, SpecAugment", mel),
        _case("mel, no SpecAugment", mel, {"data.audio.masks": None}),
        _case("mel and video, modality vectors", both),
        _case("mel and video, linear layers", both, {"model.inputs.equalise": "linear"}),
        _case("video, 4 cross-attends", video, FOUR),
        _case("video, unrolled", video, UNROLLED),
        _case("raw audio, 4 cross-attends", raw, FOUR),
        _case("raw audio, unrolled", raw, UNROLLED),
    )
    return Ablation("text_audioset", scale.name, cases, scale.seeds)


def _case(label: str, spec: ExperimentSpec, changes: dict[str, Any] | None = None) -> Case:
    return Case(label, spec.override(changes or {}), changes or {})

"""The paper's recipes at paper scale: what they quote, what they cost, and one real step of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch

from lab import Batch, Epochs, Evaluation, ExperimentSpec, Shard, Steps, catalog, codec
from lab.train.group import Group
from lab.train.loop import Evaluated, Event, Stepped, events
from lab.train.plan import Plan
from lab.train.state import Training
from perceiver import Fusion, Points
from perceiver.baselines import LateFusion, PointNetPlusPlus
from pipelines.tables.paper import quote
from sweeps.experiments import audioset, imagenet, modelnet40

MODULES = {"audioset": audioset, "imagenet": imagenet, "modelnet40": modelnet40}
TRAINING_EXAMPLES = {"audioset": 1_700_000, "imagenet": 1_281_167, "modelnet40": 9_843}
"""as the paper and its data sets' papers state them (docs/paper.md section 3)"""
RECIPES = sorted(name for name in catalog.experiments() if name.split(".")[0] in MODULES)


def quoted(module: ModuleType) -> dict[str, tuple[float | None, float]]:
    """Name -> (expected value, operations) of the table in a module's docstring."""
    rows = re.findall(r"^    (\w+) +([\d.]+|-) +(\d\.\de\d+)$", module.__doc__ or "", flags=re.MULTILINE)
    return {name: (None if value == "-" else float(value), float(cost)) for name, value, cost in rows}


@pytest.mark.parametrize("group", MODULES)
def test_the_table_of_a_module_has_a_row_for_each_of_its_experiments(group: str) -> None:
    assert set(quoted(MODULES[group])) == {
        name.split(".")[1] for name in RECIPES if name.startswith(f"{group}.")
    }


@pytest.mark.parametrize("name", RECIPES)
def test_training_costs_what_the_table_says(name: str) -> None:
    """Three times the forward operations for every example seen (docs/paper.md section 3.6)."""
    group, _, experiment = name.partition(".")
    spec = catalog.experiment(name, "paper")
    if isinstance(spec.duration, Epochs):
        seen = spec.duration.count * TRAINING_EXAMPLES[group]
    else:
        seen = spec.duration.count * spec.batch_size
    _, cost = quoted(MODULES[group])[experiment]
    assert float(f"{3 * spec.model.flops() * seen:.1e}") == cost


@pytest.mark.parametrize(
    ("name", "table", "column", "row"),
    [
        ("imagenet.fourier", "T1", "top1", {"model": "Perceiver (FF)"}),
        ("imagenet.learned", "T2", "raw", {"model": "Perceiver (Learned pos.)"}),
        ("imagenet.resnet", "T1", "top1", {"model": "ResNet-50 (FF)"}),
        ("imagenet.vit", "T1", "top1", {"model": "ViT-B-16 (FF)"}),
        ("imagenet.transformer", "T1", "top1", {"model": "Transformer (64x64, FF)"}),
        ("audioset.raw", "T3", "audio", {"model": "Perceiver (raw audio)"}),
        ("audioset.mel", "T3", "audio", {"model": "Perceiver (mel spectrogram)"}),
        ("audioset.video", "T3", "video", {"model": "Perceiver (raw audio)"}),
        ("audioset.raw_video", "T3", "audio_video", {"model": "Perceiver (raw audio)"}),
        ("audioset.mel_video", "T3", "audio_video", {"model": "Perceiver (mel spectrogram)"}),
        ("audioset.mel_video_tuned", "T3", "audio_video", {"model": "Perceiver (mel spectrogram - tuned)"}),
        ("audioset.raw_video_all_seen", "T3b", "av_map", {"audio_repr": "raw", "video_dropout_p": 0.0}),
        ("audioset.mel_video_all_seen", "T3b", "av_map", {"audio_repr": "mel", "video_dropout_p": 0.0}),
        ("modelnet40.perceiver", "T4", "top1", {"model": "Perceiver"}),
        ("modelnet40.transformer", "T4", "top1", {"model": "Transformer (44x44)"}),
        ("modelnet40.vit2", "T4", "top1", {"model": "ViT-B-2 (FF)"}),
        ("modelnet40.vit4", "T4", "top1", {"model": "ViT-B-4 (FF)"}),
        ("modelnet40.vit8", "T4", "top1", {"model": "ViT-B-8 (FF)"}),
        ("modelnet40.vit16", "T4", "top1", {"model": "ViT-B-16 (FF)"}),
        ("modelnet40.resnet", "T4", "top1", {"model": "ResNet-50 (FF)"}),
        ("modelnet40.pointnet", "T4", "top1", {"model": "PointNet++ (Qi et al., 2017)"}),
    ],
)
def test_what_is_expected_of_an_experiment_is_what_the_paper_prints(
    name: str, table: str, column: str, row: dict[str, Any]
) -> None:
    group, _, experiment = name.partition(".")
    printed = quote(table, column, **row).value
    assert quoted(MODULES[group])[experiment][0] == printed
    assert f"{printed:.1f}" in catalog.summary(catalog.experiments()[name])


@pytest.mark.parametrize("name", RECIPES)
def test_a_whole_model_at_paper_scale_has_the_parameters_that_were_counted(name: str) -> None:
    model = catalog.experiment(name, "paper").model
    with torch.device("meta"):
        built = model.build()
    assert sum(weight.numel() for weight in built.parameters()) == model.parameters()


def test_the_paper_s_imagenet_recipe_mixes_nothing_and_augments_as_stated() -> None:
    flat = codec.flatten(imagenet.fourier())
    assert (flat["data.augment"], flat["data.augment.layers"], flat["data.augment.magnitude"]) == (
        "RandAugment",
        4,
        5.0,
    )
    assert (flat["data.mixing"], flat["clip"], flat["optimizer.weight_decay"]) == (None, None, 0.0)
    plan = Plan(imagenet.fourier(), steps_per_epoch=1_251)
    rates = {epoch: plan.learning_rate(epoch * 1_251) for epoch in (0, 83, 84, 102, 114, 119)}
    assert rates == pytest.approx({0: 4e-3, 83: 4e-3, 84: 4e-4, 102: 4e-5, 114: 4e-6, 119: 4e-6})


def test_the_official_recipe_is_the_script_s() -> None:
    spec = imagenet.fourier_official()
    flat = codec.flatten(spec)
    assert (flat["task.label_smoothing"], flat["clip"], flat["optimizer.weight_decay"]) == (0.1, 10.0, 0.1)
    assert (flat["data.mixing.mixup"], flat["data.mixing.cutmix"]) == (0.2, 1.0)
    plan = Plan(spec, steps_per_epoch=100)
    halves = {step: plan.learning_rate(step) for step in (0, 5_500, 8_250, 11_000)}
    assert halves == pytest.approx({0: 2e-3, 5_500: 2e-3, 8_250: 1e-3, 11_000: 0.0})


def test_the_settings_of_audioset_differ_only_where_the_paper_says_so() -> None:
    changed = codec.difference(audioset.mel_video(), audioset.mel_video_tuned())
    assert "data.audio.masks" in changed
    assert all(path.startswith(("data.audio.masks", "model.inputs.modalities")) for path in changed)
    dropouts = {}
    for experiment in (audioset.raw_video, audioset.raw_video_all_seen, audioset.mel_video_tuned):
        inputs = experiment().model.inputs  # type: ignore[attr-defined]
        assert isinstance(inputs, Fusion)
        dropouts[experiment.__name__] = tuple(modality.dropout for modality in inputs.modalities)
    assert dropouts == {
        "raw_video": (0.0, 0.3),
        "raw_video_all_seen": (0.0, 0.0),
        "mel_video_tuned": (0.1, 0.3),
    }
    assert audioset.raw().data.clips == 16  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("modelnet40.")])
def test_table_4_s_models_see_the_same_387_channels_of_every_point(name: str) -> None:
    spec = catalog.experiment(name, "paper")
    inputs = spec.model.inputs  # type: ignore[attr-defined]
    assert isinstance(inputs, Points)
    bare = isinstance(spec.model, PointNetPlusPlus)
    assert inputs.element_channels == (3 if bare else 387)


class OneExample:
    """Noise in the shapes and types of a data set, for one step; and two clips of an example to evaluate
    where the data set has clips."""

    fingerprint = "noise"

    def __init__(self, spec: ExperimentSpec) -> None:
        self.spec = spec

    def size(self, split: str) -> int:
        return self.spec.batch_size

    def batches(self, split: str, **options: object) -> Iterator[Batch]:
        yield self.batch(self.spec.batch_size, ())

    def scan(self, split: str, *, batch_size: int, shard: Shard = Shard()) -> Iterator[Batch]:  # noqa: B008
        yield self.batch(self.spec.batch_size, (2,) if hasattr(self.spec.data, "clips") else ())

    def batch(self, size: int, clips: tuple[int, ...]) -> Batch:
        shape = self.spec.data.input_shape
        if isinstance(shape, dict):
            inputs = {name: self.noise(name, (size, *clips, *each)) for name, each in shape.items()}
        else:
            inputs = self.noise("", (size, *clips, *shape))
        classes = self.spec.data.num_classes
        targets = (torch.rand(size, classes) < 0.5).float() if self.spec.data.multi_label else None
        labels = torch.randint(classes, (size,)) if targets is None else targets
        return Batch(inputs, labels, torch.ones(size), torch.arange(size))

    def noise(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        model = self.spec.model
        if isinstance(model, LateFusion):
            model = next(stream.model for stream in model.streams if stream.name == name)
        inputs = model.inputs  # type: ignore[attr-defined]
        if isinstance(inputs, Fusion):
            inputs = next(each.inputs for each in inputs.modalities if each.name == name)
        if getattr(inputs, "pixels", None):
            return torch.randint(256, shape, dtype=torch.uint8)
        return torch.randn(shape).clamp(-1, 1)


SMALL = {"modelnet40.resnet"}
"""Whose step is over in seconds."""
STEPPED = [
    pytest.param(name, marks=() if name in SMALL else (pytest.mark.slow, pytest.mark.timeout(1200)))
    for name in RECIPES
]


@pytest.mark.parametrize("name", STEPPED)
def test_a_recipe_takes_a_step_with_its_real_shapes(name: str) -> None:
    spec = catalog.experiment(name, "paper")
    # BatchNorm after a cloud is one vector cannot normalise a single example.
    size = 2 if isinstance(spec.model, PointNetPlusPlus) else 1
    spec = replace(
        spec,
        batch_size=size,
        duration=Steps(1),
        evaluation=Evaluation(every=Steps(1), splits=("test",), batch_size=1),
    )
    source, training = OneExample(spec), Training.begin(spec, torch.device("cpu"))
    before = [weight.detach().clone() for weight in training.model.parameters()]
    found: list[Event] = list(events(training, Plan.of(spec, source), source, Group()))
    (stepped,) = (event for event in found if isinstance(event, Stepped))
    (evaluated,) = (event for event in found if isinstance(event, Evaluated))
    assert torch.isfinite(torch.as_tensor(stepped.loss))
    assert all(torch.isfinite(torch.tensor(value)) for value in evaluated.metrics.values())
    moved = [not torch.equal(a, b) for a, b in zip(before, training.model.parameters(), strict=True)]
    assert any(moved)

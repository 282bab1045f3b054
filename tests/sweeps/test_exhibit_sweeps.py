"""The sweeps behind the exhibits: the paper's own models at its scale, its proportions at any other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lab import Ablation, ExperimentSpec, catalog, codec
from lab.errors import SpecError
from perceiver import Image, PerceiverConfig, variants
from pipelines.data.imagenet import PIXELS
from sweeps.axes import in_proportion


def ablation(name: str, scale: str) -> Ablation:
    found = catalog.sweep(name, scale)
    assert isinstance(found, Ablation)
    return found


def of_pixels(model: PerceiverConfig) -> PerceiverConfig:
    assert isinstance(model.inputs, Image)
    return replace(model, inputs=replace(model.inputs, pixels=PIXELS))


@pytest.mark.parametrize(("figure", "panels"), [("figure5", variants.figure5), ("figure6", variants.figure6)])
def test_at_paper_scale_a_figure_sweeps_the_models_of_its_panels(figure: str, panels: Any) -> None:
    stated = {
        of_pixels(model): f"{panel} {value:g}"
        for panel, by_value in panels().items()
        for value, model in by_value.items()
    }
    cases = [case for case in ablation(figure, "paper").cases if not case.label.endswith(" log")]
    assert {case.spec.model for case in cases} == stated.keys()
    assert all(stated[case.spec.model] == case.label for case in cases if case.label != "base")


def axis(figure: str, field: str, path: str) -> dict[str, Any]:
    """Value in the paper -> value at laptop scale."""
    sweep = ablation(figure, "laptop")
    return {
        case.label.removeprefix(f"{field} "): codec.flatten(case.spec)[path]
        for case in sweep.cases
        if case.label == "base" or case.label.startswith(field)
    }


@pytest.mark.parametrize(
    ("figure", "field", "path", "expected"),
    [
        ("figure5", "num_latents", "model.num_latents", {"base": 24, "256": 12, "1024": 48}),
        ("figure5", "latent_channels", "model.latent_channels", {"base": 24, "256": 12, "1024": 48}),
        ("figure5", "self_attends_per_block", "model.self_attends_per_block", {"base": 2, "2": 1, "8": 4}),
        ("figure5", "cross_attends", "model.cross_attends", {"base": 2, "1": 1, "4": 4}),
        ("figure5", "cross_attends", "model.blocks", {"base": 2, "1": 1, "4": 4}),
        ("figure6", "latent_init_std", "model.latent_init_std",
         {"base": 0.02, "0.001": 0.001, "0.1": 0.1, "1": 1.0}),
        ("figure6", "max_resolution", "model.inputs.positions.max_resolution",
         {"base": 8, "56": 2.0, "112": 4.0}),
    ],
)  # fmt: skip
def test_at_laptop_scale_an_axis_keeps_its_proportions(
    figure: str, field: str, path: str, expected: dict[str, Any]
) -> None:
    assert axis(figure, field, path) == expected


def test_an_axis_that_would_have_to_be_rounded_is_refused() -> None:
    assert in_proportion(256, 512, 24) == 12
    with pytest.raises(SpecError, match="2 beside 4 has no whole number beside 1"):
        in_proportion(2, 4, 1)


@pytest.mark.parametrize(
    ("experiment", "parameters", "gflop"),
    [
        ("audioset.raw_video_later", 21.0, 52.3),  # Perceiver IO, Table 10
        ("audioset.mel_video_later", 21.0, 60.7),
        ("imagenet.fourier_official", 42.1, 404.3),  # Perceiver IO, Table 7, and Table 6
        ("imagenet.figure5", 15.264382, 99.99),  # docs/paper.md section 5
    ],
)
def test_the_other_references_count_what_their_source_prints(
    experiment: str, parameters: float, gflop: float
) -> None:
    model = catalog.experiment(experiment, "paper").model
    assert model.parameters() / 1e6 == pytest.approx(parameters, abs=0.05)
    assert model.flops() / 1e9 == pytest.approx(gflop, abs=0.05)


def shared(*names: str) -> set[str]:
    digests = [{case.spec.digest for case in ablation(name, "laptop").cases} for name in names]
    return set.intersection(*digests)


@pytest.mark.parametrize(
    ("sweeps", "runs"), [(("table1", "table2"), 4), (("table3", "table3b"), 3), (("table6", "figure6"), 1)]
)
def test_what_two_exhibits_ask_for_alike_is_run_once(sweeps: tuple[str, ...], runs: int) -> None:
    assert len(shared(*sweeps)) == runs


@pytest.mark.parametrize(
    ("sweep", "case", "path", "value"),
    [
        ("text_imagenet", "positions added", "model.inputs.combine", "add"),
        ("text_imagenet", "learned positions, 8 cross-attends", "model.cross_attends", 8),
        ("text_imagenet", "first cross-attend shared", "model.sharing", "all"),
        ("text_audioset", "mel, no SpecAugment", "data.audio.masks", None),
        ("text_audioset", "mel and video, linear layers", "model.inputs.equalise", "linear"),
        ("text_audioset", "video, unrolled", "model.unrolled", True),
        ("text_optimizers", "SGD at 0.1", "optimizer", "Sgd"),
    ],
)
@pytest.mark.parametrize("scale", ["laptop", "paper"])
def test_what_is_ablated_is_ablated_at_every_scale(
    sweep: str, case: str, path: str, value: Any, scale: str
) -> None:
    spec: ExperimentSpec = ablation(sweep, scale).case(case).spec
    assert codec.flatten(spec)[path] == value

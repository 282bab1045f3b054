"""Every sweep can be constructed at every scale, and every axis differs from its base: sweeps nobody runs
still hold."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from lab import Ablation, ExperimentSpec, Search, catalog, codec
from perceiver import PerceiverConfig, variants
from pipelines.data.imagenet import PIXELS
from sweeps.scales import laptop, paper

SCALES = {"paper": paper, "laptop": laptop}
CASES = [(name, scale) for name in catalog.sweeps() for scale in SCALES]


@pytest.mark.parametrize(("name", "scale"), CASES)
def test_two_cases_are_one_experiment_only_where_they_are_one_function(name: str, scale: str) -> None:
    found = catalog.sweep(name, scale)
    if isinstance(found, Search):
        return
    labels: dict[str, list[str]] = {}
    for case in found.cases:
        labels.setdefault(case.spec.digest, []).append(case.label)
    for twins in filter(lambda same: len(same) > 1, labels.values()):
        if twins == ["1 at start", "1 interleaved"]:
            continue
        row = twins[0].removesuffix(" raw")
        assert twins == [f"{row} raw", f"{row} permuted"]
        assert row.startswith(("Perceiver", "Transformer"))


@pytest.mark.parametrize(("name", "scale"), CASES)
def test_every_case_holds_what_it_says_it_changes(name: str, scale: str) -> None:
    found = catalog.sweep(name, scale)
    if isinstance(found, Search):
        return
    for case in found.cases:
        flat = codec.flatten(case.spec)
        assert {path: flat[path] for path in case.changes} == dict(case.changes)


class Dice:
    """A sampler that takes anything the space allows."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.asked: dict[str, Any] = {}

    def choice(self, name: str, options: Any) -> Any:
        return self.asked.setdefault(name, self.random.choice(list(options)))

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self.asked.setdefault(name, self.random.randrange(low, high + 1, step)))

    def real(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return float(self.asked.setdefault(name, self.random.uniform(low, high)))


@pytest.mark.parametrize("scale", SCALES)
def test_no_suggestion_of_the_search_is_invalid(scale: str) -> None:
    search = catalog.sweep("perceiver", scale)
    assert isinstance(search, Search)
    axes = set()
    for seed in range(200):
        changes = search.space(Dice(seed))
        search.base.override(changes)
        axes |= set(changes)
    assert {"model.num_latents", "model.blocks", "model.sharing", "model.inputs.positions.bands"} <= axes


def test_the_paper_scale_of_an_experiment_is_the_paper_s_model() -> None:
    model = variants.imagenet()
    of_pixels = replace(model, inputs=replace(model.inputs, pixels=PIXELS))
    assert catalog.experiment("imagenet.fourier", "paper").model == of_pixels


def test_table_6_at_paper_scale_counts_what_the_paper_prints() -> None:
    printed = {"1 interleaved": 404.3, "2 interleaved": 447.6, "4 at start": 534.1, "8 interleaved": 707.2}
    table6 = catalog.sweep("table6", "paper")
    assert isinstance(table6, Ablation)
    assert {label: round(table6.case(label).spec.model.flops() / 1e9, 1) for label in printed} == printed


RECIPES = [
    name for name in catalog.experiments() if name.startswith(("imagenet.", "modelnet40.", "audioset."))
]


@pytest.mark.parametrize("name", sorted(set(catalog.experiments()) - set(RECIPES)))
def test_what_is_of_a_laptop_s_size_stays_as_it_is_at_the_laptop_scale(name: str) -> None:
    assert catalog.experiment(name, "laptop") == catalog.experiment(name, "own")


@pytest.mark.parametrize("name", RECIPES)
def test_the_laptop_scale_keeps_the_structure_and_divides_the_sizes(name: str) -> None:
    large, small = catalog.experiment(name, "paper"), catalog.experiment(name, "laptop")
    assert type(small.model) is type(large.model)
    assert small.model.parameters() < large.model.parameters() / 100
    assert small.digest != large.digest
    if isinstance(large.model, PerceiverConfig) and isinstance(small.model, PerceiverConfig):
        for kept in ("cross_attends", "placement", "sharing", "blocks"):
            assert getattr(small.model, kept) == getattr(large.model, kept)


def test_a_seed_s_digest_is_that_of_the_same_specification_made_anew() -> None:
    for name in ("table2", "table6"):
        ablation = catalog.sweep(name, "laptop")
        for case, spec in ablation.specs():
            anew = ExperimentSpec.from_json(spec.to_json())
            assert anew == spec == case.spec.override({"seed": spec.seed})
            assert anew.digest == spec.digest

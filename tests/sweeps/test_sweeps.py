"""Every sweep can be constructed at every scale, and every axis differs from its base: sweeps nobody runs
still hold."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from lab import Ablation, ExperimentSpec, Search, catalog, codec
from lab.search.suggest import again
from lab.search.trial import Trial
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


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ["perceiver", "perceiver_front"])
def test_every_combination_of_the_search_is_an_experiment_and_none_that_divides_is_missing(
    name: str, scale: str
) -> None:
    search = catalog.sweep(name, scale)
    assert isinstance(search, Search)
    assert isinstance(search.base.model, PerceiverConfig)
    models = []
    for combination in search.combinations:
        changes = again(search, Trial(0, combination, {}, ()))
        models.append(search.base.override(changes).model)
    most = search.base.model.blocks
    depths = {
        (blocks, crossing)
        for blocks, crossing in itertools.product((max(1, most // 4), most // 2, most), range(1, most + 1))
        if blocks % crossing == 0
    }
    assert {(model.blocks, model.cross_attends) for model in models} == depths
    assert len(models) == len(depths) * 4 * 4 * 4 * 2, "latents, channels, bands of a grid, sharing"


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

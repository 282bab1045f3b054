"""Another reading of the paper is other work where its ambiguity bears on a case, and the same elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab import Ablation, ExperimentSpec, catalog, codec
from lab.cli import main as lab
from lab.errors import SpecError, UnknownName
from lab.tracking.tracker import membership
from pipelines.tables.build import exhibits
from pipelines.tables.cell import Counted, Measured, Missing

Where = Callable[[dict[str, Any]], bool]
"""Whether an ambiguity bears on an experiment, by its flattened fields at paper scale."""


def audioset_perceiver(fields: dict[str, Any]) -> bool:
    return fields["data"] == "AudioSet" and fields["model"] == "PerceiverConfig"


def clouds_with_positions(fields: dict[str, Any]) -> bool:
    return fields.get("model.inputs") == "Points" and fields["model.inputs.positions"] == "Fourier"


READINGS: dict[str, Where] = {
    "sharing:first_block_own": lambda fields: fields.get("model.sharing") == "published",
    "cloud_frequency:rate": clouds_with_positions,
    "cloud_features:coordinates": clouds_with_positions,
    "batch:512": lambda fields: fields["data"] == "ImageNet" and fields["batch_size"] == 1024,
    "audioset_width:1024": audioset_perceiver,
    "video_bands:64": lambda fields: audioset_perceiver(fields) and fields["data.video"] is not None,
}
LAPTOP_HAS_ITS_OWN = ("batch:512",)
"""Readings of the recipe, which at laptop scale is another."""


def digests(scale: str) -> dict[str, str]:
    """Sweep and case -> digest, for every ablation."""
    found = (make(catalog.find_scale(scale)) for make in catalog.sweeps().values())
    return {
        f"{sweep.name}/{case.label}": case.spec.digest
        for sweep in found
        if isinstance(sweep, Ablation)
        for case in sweep.cases
    }


def cases_at_paper_scale() -> dict[str, ExperimentSpec]:
    found = (make(catalog.find_scale("paper")) for make in catalog.sweeps().values())
    return {
        f"{sweep.name}/{case.label}": case.spec
        for sweep in found
        if isinstance(sweep, Ablation)
        for case in sweep.cases
    }


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("scale", ["paper", "laptop"])
def test_a_reading_changes_the_digests_of_the_cases_it_bears_on_and_no_other(
    reading: str, scale: str
) -> None:
    before, after = digests(scale), digests(f"{scale}/{reading}")
    changed = {case for case in before if after[case] != before[case]}
    if scale == "laptop" and reading in LAPTOP_HAS_ITS_OWN:
        assert not changed
        return
    borne = {case for case, spec in cases_at_paper_scale().items() if READINGS[reading](codec.flatten(spec))}
    assert changed == borne
    assert changed
    assert changed != set(before)


def test_every_ambiguity_is_tested_and_the_first_reading_is_what_experiments_state() -> None:
    named = {f"{name}:{reading}" for name, a in catalog.ambiguities().items() for reading in a.readings}
    stated = {f"{name}:{a.stated}" for name, a in catalog.ambiguities().items()}
    assert named - stated == set(READINGS)
    everything = catalog.find_scale("/".join(["paper", *sorted(stated)]))
    assert everything.name == "paper"


def test_the_other_sharing_counts_what_docs_say_and_a_table_says_that_it_is_not_what_is_printed() -> None:
    sweep = catalog.sweep("table7", "paper/sharing:first_block_own")
    assert isinstance(sweep, Ablation)
    table = exhibits()["table7"].table(sweep)
    shared, unshared = (table.cell(row, "parameters") for row in ("sharing", "no sharing"))
    assert isinstance(shared, Counted)
    assert isinstance(unshared, Counted)
    assert shared.verdict == "counts 82.7M"  # docs/paper.md section 1.5
    assert unshared.verdict == "exact"


def test_cells_that_a_reading_does_not_bear_on_are_filled_by_the_runs_that_are_there() -> None:
    asked = {}
    for scale in ("laptop", "laptop/sharing:first_block_own"):
        sweep = catalog.sweep("table2", scale)
        assert isinstance(sweep, Ablation)
        for row, column, cell in exhibits()["table2"].table(sweep).cells():
            if isinstance(cell, Measured | Missing):
                place = (row.label, column.key)
                asked.setdefault(place, []).append([spec.digest for spec in cell.measurement.specs])
    kept = {row for (row, _), (before, after) in asked.items() if before == after}
    assert kept == {"ResNet (FF)", "ViT (FF)", "Transformer (FF)"}


def test_readings_stand_in_one_order_whatever_the_order_asked() -> None:
    one = catalog.find_scale("laptop/batch:512/sharing:first_block_own")
    other = catalog.find_scale("laptop/sharing:first_block_own/batch:512")
    assert one.name == other.name == "laptop/sharing:first_block_own/batch:512"


@pytest.mark.parametrize("reading", READINGS)
def test_a_scale_s_name_may_stand_in_a_tag_of_mlflow(reading: str) -> None:
    from mlflow.utils.validation import _validate_tag_name

    _validate_tag_name(membership("table7", catalog.find_scale(f"laptop/{reading}").name))


def test_an_unknown_reading_is_answered_with_the_near_miss() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'sharing'"):
        catalog.find_scale("laptop/sharin:published")
    with pytest.raises(UnknownName, match="Did you mean 'first_block_own'"):
        catalog.find_scale("laptop/sharing:first_block_ow")
    with pytest.raises(SpecError, match="read in two ways"):
        catalog.find_scale("laptop/batch:512/batch:1024")


def test_the_command_line_takes_a_reading_and_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab(["show", "table7", "--scale", "paper", "--reading", "sharing=first_block_own"]) == 0
    assert "at paper/sharing:first_block_own scale" in capsys.readouterr().out
    assert lab(["list", "readings"]) == 0
    assert "sharing=published|first_block_own" in capsys.readouterr().out

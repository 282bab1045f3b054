"""Sentences of the paper as tests over cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import SpecError
from pipelines.tables import table2, table7
from pipelines.tables.claims import Claim, Finding, Verdict, contrast, findings
from pipelines.tables.fill import fill

ROWS = ("ResNet (FF)", "ViT (FF)", "Transformer (FF)", "Perceiver (FF)")


def permuted(laboratory, drop: dict[str, list[float]]) -> dict[str, Finding]:
    """Findings of Table 2 when the permutation costs each model so many points per seed."""
    sweep = laboratory.sweep("table2")
    for row in ROWS:
        laboratory.fill_case(sweep, f"{row} raw", [0.95, 0.96, 0.97])
        laboratory.fill_case(
            sweep,
            f"{row} permuted",
            [v - d / 100 for v, d in zip([0.95, 0.96, 0.97], drop[row], strict=True)],
        )
    (table,) = fill([table2.table(sweep)], laboratory.tracker)
    return {finding.claim.sentence: finding for finding in findings(table)}


def test_a_permutation_that_hurts_only_grids_supports_the_papers_sentences(laboratory) -> None:
    found = permuted(
        laboratory,
        {
            "ResNet (FF)": [30.0, 31.0, 30.5],
            "ViT (FF)": [10.0, 11.0, 10.5],
            "Transformer (FF)": [0.0] * 3,
            "Perceiver (FF)": [0.0] * 3,
        },
    )
    tested = {sentence: f.verdict for sentence, f in found.items() if not f.claim.proof}
    assert set(tested.values()) == {Verdict.SUPPORTED}
    assert len(tested) == 2
    assert found["Permuting the pixels hurts the ResNet."].effect.mean == pytest.approx(30.5)  # type: ignore[union-attr]


def test_the_record_may_contradict_the_paper(laboratory) -> None:
    found = permuted(
        laboratory,
        {
            "ResNet (FF)": [-5.0, -5.1, -4.9],
            "ViT (FF)": [10.0, 11.0, 10.5],
            "Transformer (FF)": [0.0] * 3,
            "Perceiver (FF)": [20.0, 20.1, 20.2],
        },
    )
    assert found["Permuting the pixels hurts the ResNet."].verdict is Verdict.CONTRADICTED


@pytest.mark.parametrize(
    ("drops", "verdict"),
    [
        ([0.0, 0.1, -0.1], Verdict.SUPPORTED),
        ([20.0, 20.1, 20.2], Verdict.CONTRADICTED),
        ([3.0, -3.0, 0.5], Verdict.UNDECIDED),
    ],
)
def test_no_difference_is_a_claim_within_a_margin(laboratory, drops: list[float], verdict: Verdict) -> None:
    sweep = laboratory.sweep("table2")
    laboratory.fill_case(sweep, "ViT (FF) raw", [0.95, 0.96, 0.97])
    laboratory.fill_case(
        sweep, "ViT (FF) permuted", [v - d / 100 for v, d in zip([0.95, 0.96, 0.97], drops, strict=True)]
    )
    terms = contrast(("+", "ViT (FF)", "raw"), ("-", "ViT (FF)", "permuted"))
    unchanged = Claim("Permuting changes nothing.", "Table 2", terms, expects="zero", margin=1.0)
    (table,) = fill([replace(table2.table(sweep), claims=(unchanged,))], laboratory.tracker)
    assert [finding.verdict for finding in findings(table)] == [verdict]


def test_what_is_proven_needs_no_runs_and_names_its_proof(laboratory) -> None:
    (table,) = fill([table2.table(laboratory.sweep("table2"))], laboratory.tracker)
    proven = [finding for finding in findings(table) if finding.verdict is Verdict.PROVEN]
    assert {finding.claim.sentence.split()[-2] for finding in proven} == {"Transformer", "Perceiver"}
    for finding in proven:
        test_file = finding.why.removeprefix("by ").partition(":")[0]
        assert (Path(__file__).parents[3] / test_file).is_file()


def test_a_claim_is_either_tested_or_proven() -> None:
    with pytest.raises(SpecError, match="is tested on a contrast or has a proof"):
        Claim("Neither.", "Table 2")


def test_noise_leaves_a_sentence_undecided_and_says_how_many_seeds_would_help(laboratory) -> None:
    found = permuted(
        laboratory,
        {
            "ResNet (FF)": [3.0, -2.0, 1.0],
            "ViT (FF)": [10.0, 11.0, 10.5],
            "Transformer (FF)": [0.0] * 3,
            "Perceiver (FF)": [3.0, -3.0, 0.5],
        },
    )
    resnet = found["Permuting the pixels hurts the ResNet."]
    assert resnet.verdict is Verdict.UNDECIDED
    assert "more seeds would resolve a difference of 0.7" in resnet.why


def test_an_incomplete_cell_leaves_its_claims_undecided(laboratory) -> None:
    (table,) = fill([table2.table(laboratory.sweep("table2"))], laboratory.tracker)
    tested = [finding for finding in findings(table) if not finding.claim.proof]
    assert {finding.why for finding in tested} == {"not all its cells are complete"}


def test_one_seed_decides_nothing(laboratory) -> None:
    sweep = laboratory.sweep("table7", seeds=(0,))
    laboratory.run(sweep, "sharing", 0, {"validation/top1": 0.78, "train/top1": 0.795})
    laboratory.run(sweep, "no sharing", 0, {"validation/top1": 0.729, "train/top1": 0.877})
    (table,) = fill([table7.table(sweep)], laboratory.tracker)
    assert {(f.verdict, f.p_value) for f in findings(table)} == {(Verdict.UNDECIDED, None)}


def test_a_gap_of_gaps_is_taken_seed_by_seed(laboratory) -> None:
    sweep = laboratory.sweep("table7")
    for seed in sweep.seeds:
        noise = 0.01 * seed  # moves both columns of a seed alike, and so must not widen the interval
        laboratory.run(sweep, "sharing", seed, {"validation/top1": 0.78 + noise, "train/top1": 0.795 + noise})
        laboratory.run(
            sweep, "no sharing", seed, {"validation/top1": 0.729 - noise, "train/top1": 0.877 - noise}
        )
    (table,) = fill([table7.table(sweep)], laboratory.tracker)
    gap = next(f for f in findings(table) if "gap" in f.claim.sentence)
    assert gap.effect is not None
    assert gap.effect.mean == pytest.approx(87.7 - 72.9 - (79.5 - 78.0))
    assert gap.effect.half_width == pytest.approx(0.0, abs=1e-9)
    assert gap.verdict is Verdict.SUPPORTED


def test_the_claims_of_a_table_share_one_error_rate(laboratory) -> None:
    found = permuted(
        laboratory,
        {
            "ResNet (FF)": [3.0, 4.0, 5.0],
            "ViT (FF)": [3.0, 4.0, 5.0],
            "Transformer (FF)": [0.0] * 3,
            "Perceiver (FF)": [0.0] * 3,
        },
    )
    # 4 points, standard error 1/sqrt(3): p = 0.0202 each by scipy's ttest_1samp, and there are two of them.
    assert found["Permuting the pixels hurts the ResNet."].p_value == pytest.approx(2 * 0.0202041, rel=1e-4)


def test_a_claim_of_no_difference_must_say_within_what() -> None:
    with pytest.raises(SpecError, match="needs a margin"):
        Claim("Nothing changes.", "Table 2", contrast(("+", "a", "b"), ("-", "a", "c")), expects="zero")

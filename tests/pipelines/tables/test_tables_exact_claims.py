"""What the paper says of the network itself: settled by counting, and able to be found wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perceiver import variants
from pipelines.tables.claims import Exact, Verdict, invariance
from pipelines.tables.claims.exact import EXACT, counted, equal, times
from pipelines.tables.claims.family import families
from pipelines.tables.claims.invariance import POSITIONED
from pipelines.tables.claims.verdict import settled

PAPER = (Path(__file__).parents[3] / "docs" / "paper.md").read_text(encoding="utf-8")
REFUTED = {
    "Weight sharing makes the parameters approximately 10 times fewer.",
    "The first latent Transformer has its own weights too, in a model of 44.9M parameters.",
    "The model with one cross-attend at the start has 41.1M parameters.",
}
"""where the paper contradicts its own tables (docs/paper.md sections 1.5, 2.6 and 2.7)"""


@pytest.mark.parametrize("claim", EXACT, ids=lambda claim: claim.id)
def test_an_exact_claim_is_proven_unless_the_paper_contradicts_itself_there(claim: Exact) -> None:
    verdict = Verdict.CONTRADICTED if claim.sentence in REFUTED else Verdict.PROVEN
    assert settled(claim).verdict is verdict


def test_a_real_network_has_as_many_parameters_as_a_claim_counts() -> None:
    model = variants.imagenet(cross_attends=1)
    built = sum(parameter.numel() for parameter in model.build().parameters())
    shown = counted("42.1M", lambda: [built])()
    assert shown.holds
    assert shown.found == "counts 42,135,859"  # docs/paper.md section 5
    assert model.parameters() == built


def test_a_wrong_number_is_not_proven() -> None:
    assert not counted("45.0M", lambda: [variants.imagenet().parameters()])().holds
    assert not equal([262], lambda: [variants.imagenet().inputs.element_channels])().holds
    assert not times(8, 0.05)().holds


@pytest.mark.parametrize("make", [invariance.resnet, invariance.vit])
def test_what_shows_indifference_to_order_would_notice_a_grid(make) -> None:
    assert not invariance.unmoved(invariance.order_with_positions(make(POSITIONED))).holds


def test_what_shows_a_difference_would_notice_indifference() -> None:
    blind = invariance.perceiver(replace(POSITIONED, positions=None))
    assert not invariance.moved(invariance.order_of_pixels(blind)).holds


def test_the_exact_claims_come_first_and_need_no_table() -> None:
    (network,) = families([])
    assert [finding.claim for finding in network.findings] == list(EXACT)


def test_a_quotation_is_in_our_copy_of_the_paper_word_for_word() -> None:
    words = PAPER.replace("*", "")
    quoted = [claim for claim in EXACT if claim.quote]
    assert quoted
    assert {
        claim.quote for claim in quoted if f'"{claim.quote}"' not in words and claim.quote not in words
    } == set()

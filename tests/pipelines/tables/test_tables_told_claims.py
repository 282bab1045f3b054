"""The claims as they are told: every one, with its verdict and what it rests on, in every format."""

from __future__ import annotations

import json
from dataclasses import replace
from html import unescape
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from lab import catalog
from lab.errors import SpecError
from pipelines.tables import exhibits, table6
from pipelines.tables.cell import Reading
from pipelines.tables.claims import Claim, Verdict, contrast, findings
from pipelines.tables.claims.exact import EXACT
from pipelines.tables.claims.family import families, tally
from pipelines.tables.claims.told import render
from pipelines.tables.fill import fill

LEVEL = 0.05


def declared() -> list:
    """Every claim of every exhibit, and the exact ones."""
    laptop = catalog.find_scale("laptop")
    sweeps = catalog.sweeps()
    tables = [exhibit.table(sweeps[exhibit.sweep](laptop)) for exhibit in exhibits().values()]
    return [*EXACT, *(claim for table in tables for claim in table.claims)]


def filled(laboratory, values: dict[str, list[float]]):
    """Table 6 with these accuracies in percent, seed by seed."""
    sweep = laboratory.sweep("table6", seeds=range(5))
    for case, of_case in values.items():
        laboratory.fill_case(sweep, case, [value / 100 for value in of_case])
    (table,) = fill([table6.table(sweep)], laboratory.tracker)
    return table


def by_scipy(effects: list[np.ndarray]) -> list[float]:
    """Two-sided p of each effect being zero, by Holm as R's p.adjust has it."""
    raw = np.array([stats.ttest_1samp(effect, 0).pvalue for effect in effects])
    order = np.argsort(raw)
    scaled = np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1))
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(scaled, 1)
    return list(adjusted)


def test_there_are_at_least_twenty_sentences_about_runs_and_all_are_told_apart() -> None:
    claims = declared()
    assert sum(isinstance(claim, Claim) for claim in claims) >= 20
    names = [claim.id for claim in claims]
    assert sorted(names) == sorted(set(names))
    assert all(claim.source for claim in claims)


def test_every_sentence_is_one() -> None:
    for claim in declared():
        assert not claim.sentence[0].islower(), claim.sentence
        assert claim.sentence.endswith("."), claim.sentence


@pytest.mark.parametrize("seed", range(6))
def test_verdicts_are_those_of_scipys_paired_t_tests(laboratory, seed: int) -> None:
    random = np.random.default_rng(seed)
    cases = ["8 interleaved", "8 at start", "1 interleaved", "1 at start"]
    noise = random.normal(0, 1.5, 5)  # of the seed, the same in every case, so that pairing matters
    values = {case: 80 + random.normal(0, 3) + noise + random.normal(0, 0.7, 5) for case in cases}
    table = filled(laboratory, {case: list(of) for case, of in values.items()})
    found = findings(table)
    effects = [
        sum(sign * values[row] for sign, (row, _) in finding.claim.contrast)  # type: ignore[union-attr]
        for finding in found
    ]
    expected = by_scipy(effects)  # type: ignore[arg-type]
    assert [finding.p_value for finding in found] == pytest.approx(expected, rel=1e-6)
    for finding, effect, p in zip(found, effects, expected, strict=True):
        verdict = Verdict.UNDECIDED
        if p < LEVEL:
            verdict = Verdict.SUPPORTED if np.mean(effect) > 0 else Verdict.CONTRADICTED
        assert finding.verdict is verdict


@pytest.mark.parametrize(
    ("expects", "margin", "drops", "verdict"),
    [
        ("positive", 5.0, [9.0, 9.5, 10.0, 9.2, 9.8], Verdict.SUPPORTED),
        ("positive", 5.0, [1.0, 1.5, 2.0, 1.2, 1.8], Verdict.CONTRADICTED),
        ("positive", 5.0, [4.0, 6.5, 5.0, 3.2, 7.8], Verdict.UNDECIDED),
        ("no loss", 1.0, [0.0, 0.2, -0.2, 0.1, -0.1], Verdict.SUPPORTED),
        ("no loss", 1.0, [8.0, 8.2, 7.8, 8.1, 7.9], Verdict.SUPPORTED),
        ("no loss", 1.0, [-8.0, -8.2, -7.8, -8.1, -7.9], Verdict.CONTRADICTED),
    ],
)
def test_a_margin_moves_what_an_effect_is_compared_with(
    laboratory, expects, margin: float, drops: list[float], verdict: Verdict
) -> None:
    table = filled(laboratory, {"8 interleaved": [80.0 + d for d in drops], "8 at start": [80.0] * 5})
    terms = contrast(("+", "8 interleaved", "top1"), ("-", "8 at start", "top1"))
    claim = Claim("Interleaving is as declared.", "Table 6", terms, expects, margin)
    (finding,) = findings(replace(table, claims=(claim,)))
    assert finding.verdict is verdict
    bound = margin if expects == "positive" else -margin
    assert finding.p_value == pytest.approx(stats.ttest_1samp(drops, bound).pvalue, rel=1e-6)


@pytest.mark.parametrize("seeds", [3, 5])
def test_where_nothing_differs_at_most_one_exhibit_in_twenty_has_a_verdict(laboratory, seeds: int) -> None:
    cases, repeats = ["8 interleaved", "8 at start", "1 interleaved", "1 at start"], 1500
    table = filled(laboratory, {case: [80.0] * 5 for case in cases})
    random = np.random.default_rng(seeds)
    wrong = 0
    for _ in range(repeats):
        noise = random.normal(0, 2, seeds)
        drawn = {case: 80 + noise + random.normal(0, 1, seeds) for case in cases}
        wrong += any(f.verdict is not Verdict.UNDECIDED for f in findings(_measured(table, drawn)))
    # Three standard errors of a rate of 5 % over so many exhibits.
    assert wrong / repeats < LEVEL + 3 * (LEVEL * (1 - LEVEL) / repeats) ** 0.5


def _measured(table, values):
    """The table with other values in its cells of accuracy, by row."""
    rows = []
    for row in table.rows:
        cell = row.cells[0]
        if row.label in values:
            readings = tuple(Reading(seed, "", "", value) for seed, value in enumerate(values[row.label]))
            cell = replace(cell, readings=readings)
        rows.append(replace(row, cells=(cell, *row.cells[1:])))
    return replace(table, rows=tuple(rows))


def test_what_lacks_runs_says_what_fills_it_and_what_that_takes(laboratory) -> None:
    sweep = laboratory.sweep("table6")
    laboratory.fill_case(sweep, "8 interleaved", [0.9, 0.91, 0.92])
    (table,) = fill([table6.table(sweep)], laboratory.tracker)
    finding = findings(table)[0]
    assert finding.verdict is Verdict.UNDECIDED
    assert finding.commands == ("lab sweep table6 --scale laptop",)
    took = [run.seconds for run in laboratory.tracker.runs()]
    assert finding.price == pytest.approx(3 * float(np.median(took)), rel=0.5, abs=0.1)


def test_a_claim_whose_cells_nobody_has_run_yet_has_no_price(laboratory) -> None:
    (table,) = fill([table6.table(laboratory.sweep("table6"))], laboratory.tracker)
    assert {finding.price for finding in findings(table)} == {None}


@pytest.mark.parametrize("form", ["text", "md", "json", "html"])
def test_every_format_tells_every_sentence_and_is_the_same_twice(laboratory, form) -> None:
    table = filled(laboratory, {"8 interleaved": [90.0] * 5, "8 at start": [80.0, 81.0, 80.5, 79.0, 80.2]})
    said = render([table], form)
    assert said == render([table], form)
    for claim in (*EXACT, *table.claims):
        assert claim.sentence in unescape(said)
    assert "laptop scale" in said.lower()


def test_json_holds_the_effect_the_interval_and_the_margin(laboratory) -> None:
    table = filled(laboratory, {"8 interleaved": [90.0, 91.0, 92.0, 91.5, 90.5], "8 at start": [80.0] * 5})
    of_table = json.loads(render([table], "json"))["families"][1]["claims"]
    first = of_table[0]
    low, high = stats.t.interval(0.95, 4, loc=11.0, scale=np.std([10, 11, 12, 11.5, 10.5], ddof=1) / 5**0.5)
    assert (first["effect"], first["low"], first["high"]) == pytest.approx((11.0, low, high))
    assert (first["n"], first["expects"], first["margin"]) == (5, "positive", 0.0)
    assert first["contrast"] == [["+", "8 interleaved", "top1"], ["-", "8 at start", "top1"]]


def test_markdown_has_as_many_columns_in_every_row(laboratory) -> None:
    lines = render([filled(laboratory, {"8 at start": [80.0] * 5})], "md").splitlines()
    rows = [line.replace("\\|", "").count("|") for line in lines if line.startswith("|")]
    assert len(rows) > len(EXACT)
    assert all(left == right for left, right in pairwise(rows))


def test_the_tally_counts_every_claim_once(laboratory) -> None:
    of = families([filled(laboratory, {"8 at start": [80.0] * 5})])
    assert sum(tally(of).values()) == len(EXACT) + 3


def test_an_unknown_format_is_refused_with_those_there_are() -> None:
    with pytest.raises(SpecError, match="text, md, json, html"):
        render([], "pdf")  # type: ignore[arg-type]

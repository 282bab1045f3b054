"""Intervals and tests, against scipy."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipelines.tables import statistics

floats = st.floats(-1e3, 1e3)


@given(st.floats(0.001, 200), st.integers(1, 200))
def test_the_t_distribution_is_scipys(t: float, degrees: int) -> None:
    expected = 1 - 2 * stats.t.sf(t, degrees)
    assert statistics.central(t, degrees) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 9, 30, 99])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_critical_values_are_scipys(degrees: int, confidence: float) -> None:
    expected = stats.t.ppf((1 + confidence) / 2, degrees)
    assert statistics.critical(degrees, confidence) == pytest.approx(expected, rel=1e-9)


@given(st.lists(floats, min_size=2, max_size=12).filter(lambda values: np.std(values) > 1e-6))
def test_the_interval_is_scipys_t_interval_of_the_mean(values: list[float]) -> None:
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    estimate = statistics.estimate(values)
    assert (estimate.low, estimate.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


def test_one_seed_has_a_mean_and_no_interval() -> None:
    estimate = statistics.estimate([78.0])
    assert (estimate.mean, estimate.low, estimate.high, estimate.n) == (78.0, None, None, 1)


def test_no_seed_has_no_estimate() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        statistics.estimate([])


@given(st.lists(floats, min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_runs_changes_no_digit(values: list[float], shuffler: random.Random) -> None:
    shuffled = list(values)
    shuffler.shuffle(shuffled)
    assert statistics.estimate(shuffled) == statistics.estimate(values)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_intervals_cover_the_truth_as_often_as_they_say(n: int) -> None:
    draws = np.random.default_rng(0).normal(50.0, 3.0, size=(4000, n))
    hits = sum(e.low <= 50.0 <= e.high for e in map(statistics.estimate, draws.tolist()))  # type: ignore[operator]
    assert hits / 4000 == pytest.approx(0.95, abs=0.02)


def test_paired_differences_are_tested_as_scipy_tests_them() -> None:
    left, right = [96.1, 97.0, 95.2, 96.4], [95.0, 96.5, 95.1, 95.2]
    difference = statistics.paired(dict(enumerate(left)), dict(enumerate(right)))
    assert difference is not None
    assert difference.mean == pytest.approx(np.mean(np.subtract(left, right)))
    assert statistics.p_value(difference) == pytest.approx(stats.ttest_rel(left, right).pvalue)


def test_pairs_are_made_of_shared_seeds_only() -> None:
    difference = statistics.paired({0: 10.0, 1: 20.0, 7: 99.0}, {0: 9.0, 1: 18.0, 3: 0.0})
    assert difference is not None
    assert (difference.mean, difference.n) == (1.5, 2)
    assert statistics.paired({0: 1.0}, {1: 1.0}) is None


def test_a_difference_without_spread_is_certain_from_three_seeds_on() -> None:
    """0.1 + 0.2 is not 0.3: a spread of rounding is none."""
    equal, apart = statistics.estimate([0.0, 0.0]), statistics.estimate([1.0, 1.0, 1.0])
    assert (statistics.p_value(equal), statistics.p_value(apart)) == (1.0, 0.0)
    assert statistics.p_value(statistics.estimate([0.1 + 0.2, 0.3, 0.3])) == 0.0


def test_two_seeds_that_differ_by_the_same_decide_nothing() -> None:
    assert statistics.p_value(statistics.estimate([0.1 + 0.2, 0.3])) is None


def test_holm_adjusts_as_in_the_published_example() -> None:
    # Holm (1979) by hand for p = .01, .04, .03, .005: 4 x .005, 3 x .01, 2 x .03, then the running maximum.
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_makes_a_test_easier_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = statistics.holm(p_values)
    assert all(a >= p and a <= 1 for a, p in zip(adjusted, p_values, strict=True))
    ranked = [adjusted[i] for i in sorted(range(len(p_values)), key=p_values.__getitem__)]
    assert ranked == sorted(ranked)


def test_a_row_within_the_noise_of_the_best_shares_the_bold_type() -> None:
    rows = {
        "best": {0: 78.0, 1: 78.4, 2: 77.9},
        "near": {0: 78.1, 1: 77.8, 2: 78.0},
        "far": {0: 60.0, 1: 60.2, 2: 59.8},
    }
    assert statistics.not_worse_than_best(rows) == {"best", "near"}
    assert statistics.not_worse_than_best(rows, higher=False) == {"far"}


def test_nothing_is_bold_where_nothing_can_be_tested() -> None:
    assert statistics.not_worse_than_best({"alone": {0: 1.0, 1: 2.0}}) == frozenset()
    assert statistics.not_worse_than_best({"a": {0: 1.0}, "b": {0: 2.0}}) == frozenset()
    assert statistics.not_worse_than_best({}) == frozenset()


def test_the_false_alarm_rate_of_the_bold_type_is_at_most_five_percent() -> None:
    generator = np.random.default_rng(1)
    wrong = 0
    for _ in range(400):
        rows = {str(i): dict(enumerate(generator.normal(0, 1, 3).tolist())) for i in range(4)}
        wrong += len(statistics.not_worse_than_best(rows)) < len(rows)
    # The best is picked after looking, so the rate is near the nominal level, not far below it.
    assert wrong / 400 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)

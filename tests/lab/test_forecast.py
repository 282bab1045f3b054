"""What runs will take, from what runs like them took."""

import math
import time

import numpy as np
import pytest
from scipy import stats

from lab import Epochs, Evaluation, Lamb, Sgd
from lab.forecast import Range, disk, forecast, from_probe, operations
from lab.tracking.tracker import RunRecord, Status
from tests.lab.toy import SIZES, ToyModel, toy_spec

SPEC = toy_spec()
OPERATIONS = 2 * 8 * (6 + 16 + 3) * (3 * 210 + 3 * 37 + 21)
"""of the model times 3 epochs of 70 examples, forward and backward, 3 evaluations of 37 and one of 21"""


def took(seconds, spec=SPEC, status=Status.COMPLETE, **metrics):
    return RunRecord(
        run_id=f"{spec.digest}{seconds}", digest=spec.digest, name="toy", status=status, seed=spec.seed,
        spec=spec.to_json(), metrics=metrics, worked=seconds, ended=time.time(),
    )  # fmt: skip


def test_operations_are_those_of_every_step_and_every_evaluation():
    assert operations(SPEC, SIZES) == OPERATIONS


def test_evaluating_less_often_costs_less():
    rare = toy_spec(evaluation=Evaluation(every=Epochs(3), splits=("validation",), at_end=(), batch_size=8))
    assert operations(rare, SIZES) == 2 * 8 * (6 + 16 + 3) * (3 * 210 + 37)


@pytest.mark.parametrize(("optimizer", "numbers"), [(Lamb(), 3), (Sgd(), 2)])
def test_a_checkpoint_is_the_weights_and_the_moments_of_the_optimizer_in_float32(optimizer, numbers):
    spec = toy_spec(optimizer=optimizer)
    assert disk(spec) == 2 * 4 * numbers * ToyModel().parameters()


def test_one_run_of_another_seed_says_the_time_within_a_factor_of_two():
    found = forecast(SPEC, SIZES, [took(30.0, toy_spec(seed=1))])
    assert (found.seconds.low, found.seconds.likely, found.seconds.high) == pytest.approx((15, 30, 60))
    assert found.basis == "1 other seed of it"


@pytest.mark.parametrize("n", [2, 3, 10])
def test_several_runs_give_the_range_in_which_the_next_would_fall(n):
    """The posterior predictive of a normal with a scaled inverse chi-squared prior (Gelman et al., Bayesian
    Data Analysis, 3.3), by SciPy: 4 degrees of freedom, scaled so that one run means a factor of two."""
    seconds = np.geomspace(20.0, 45.0, n)
    found = forecast(SPEC, SIZES, [took(s, toy_spec(seed=k)) for k, s in enumerate(seconds)])
    prior = (math.log(2) / stats.t.ppf(0.975, 4)) ** 2 / 2
    degrees = 4 + n - 1
    variance = (4 * prior + np.sum((np.log(seconds) - np.log(seconds).mean()) ** 2)) / degrees
    factor = math.exp(stats.t.ppf(0.975, degrees) * math.sqrt(variance * (1 + 1 / n)))
    assert found.seconds.likely == pytest.approx(30)
    assert found.seconds.high == pytest.approx(30 * factor, rel=1e-6)
    assert found.seconds.low == pytest.approx(30 / factor, rel=1e-6)


def test_two_runs_that_happen_to_agree_are_not_taken_for_certain():
    found = forecast(SPEC, SIZES, [took(30.0, toy_spec(seed=1)), took(30.0, toy_spec(seed=2))])
    assert found.seconds.high > 1.3 * 30


def test_a_probe_is_scaled_to_all_steps_and_evaluations():
    """210 steps' worth of examples forward and backward is 630, evaluations are 132 forward: of 21 steps."""
    found = from_probe(SPEC, SIZES, [0.1, 0.1, 0.1], 1e9)
    assert found.seconds.likely == pytest.approx(21 * 0.1 * (630 + 132) / 630)
    assert found.seconds.high == pytest.approx(1.5 * found.seconds.likely)
    assert (found.memory.low, found.memory.high) == (1e9, 1.25e9)
    assert found.basis == "a probe of 3 steps"


def test_a_probe_of_uneven_steps_says_less():
    even, uneven = (from_probe(SPEC, SIZES, steps, 1e9) for steps in ([0.1, 0.1, 0.1], [0.05, 0.1, 0.15]))
    assert uneven.seconds.likely == pytest.approx(even.seconds.likely)
    assert uneven.seconds.high > even.seconds.high


def test_a_model_of_another_size_takes_its_share_of_operations():
    wide = toy_spec(model=ToyModel(hidden=16))
    found = forecast(wide, SIZES, [took(30.0)])
    assert found.seconds.likely == pytest.approx(30 * operations(wide, SIZES) / OPERATIONS)
    assert found.basis == "1 run of ToyModel"


def test_other_seeds_say_more_than_other_sizes():
    found = forecast(SPEC, SIZES, [took(500.0, toy_spec(model=ToyModel(hidden=16))), took(30.0)])
    assert found.seconds.likely == pytest.approx(30)


def test_runs_that_did_not_end_say_nothing():
    found = forecast(SPEC, SIZES, [took(30.0, status=Status.FAILED), took(3.0, status=Status.STOPPED)])
    assert found.seconds is None
    assert found.basis == "no run like it on record"


def test_memory_is_what_runs_like_it_took_and_some_more():
    runs = [took(30.0, toy_spec(seed=k), **{"pace/peak_memory_bytes": 1e9 * k}) for k in (1, 3, 2)]
    memory = forecast(SPEC, SIZES, runs).memory
    assert (memory.low, memory.likely) == (1e9, 2e9)
    assert memory.high > 3e9


def test_the_range_of_a_sum_is_the_sum_of_the_ranges():
    assert Range(1, 2, 4) + Range(10, 20, 40) == Range(11, 22, 44)
    assert Range(1, 2, 4).times(3) == Range(3, 6, 12)

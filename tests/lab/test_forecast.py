"""What runs will take, from what runs like them took."""

import math
import time

import pytest

from lab import Epochs, Evaluation, Lamb, Sgd
from lab.forecast import Range, disk, forecast, operations
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
    assert found.basis == "1 other seeds of it"


def test_several_runs_give_the_range_in_which_the_next_would_fall():
    """Student's t at 2 degrees of freedom is 4.303; in logarithms, widened by what the mean is unsure of."""
    seconds = [20.0, 30.0, 45.0]
    found = forecast(SPEC, SIZES, [took(s, toy_spec(seed=k)) for k, s in enumerate(seconds)])
    spread = math.exp(4.303 * math.log(1.5) * math.sqrt(1 + 1 / 3))
    assert found.seconds.likely == pytest.approx(30)
    assert found.seconds.high == pytest.approx(30 * spread, rel=1e-3)
    assert found.seconds.low == pytest.approx(30 / spread, rel=1e-3)


def test_a_model_of_another_size_takes_its_share_of_operations():
    wide = toy_spec(model=ToyModel(hidden=16))
    found = forecast(wide, SIZES, [took(30.0)])
    assert found.seconds.likely == pytest.approx(30 * operations(wide, SIZES) / OPERATIONS)
    assert found.basis == "1 runs of ToyModel"


def test_other_seeds_say_more_than_other_sizes():
    found = forecast(SPEC, SIZES, [took(500.0, toy_spec(model=ToyModel(hidden=16))), took(30.0)])
    assert found.seconds.likely == pytest.approx(30)


def test_runs_that_did_not_end_say_nothing():
    found = forecast(SPEC, SIZES, [took(30.0, status=Status.FAILED), took(3.0, status=Status.STOPPED)])
    assert found.seconds is None
    assert found.basis == "no run like it on record"


def test_memory_is_the_most_that_runs_like_it_took():
    runs = [took(30.0, toy_spec(seed=k), **{"pace/peak_memory_bytes": 1e9 * k}) for k in (1, 3, 2)]
    assert forecast(SPEC, SIZES, runs).memory == 3e9


def test_the_range_of_a_sum_is_the_sum_of_the_ranges():
    assert Range(1, 2, 4) + Range(10, 20, 40) == Range(11, 22, 44)
    assert Range(1, 2, 4).times(3) == Range(3, 6, 12)

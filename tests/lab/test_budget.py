"""A budget holds whatever happens: what may pass it is not begun."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lab import Ablation, Case, Resources
from lab.agenda import AblationAgenda
from lab.budget import Budget, Purse
from lab.errors import SpecError, TrackingUnreachable
from lab.forecast import Range
from lab.spec import ExperimentSpec
from lab.tracking.memory import MemoryTracker
from lab.tracking.tracker import RunRecord, Status
from lab.within import WithinBudget
from tests.lab.toy import ToyModel, toy_spec


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def spec(hidden: int) -> ExperimentSpec:
    return toy_spec(model=ToyModel(hidden=hidden))


def purse(words: str, clock: Clock, seconds: Mapping[int, float], **resources: float) -> Purse:
    """One in which a toy takes up to twice the seconds given for its width."""

    def price(of: ExperimentSpec) -> Range | None:
        likely = seconds.get(of.model.hidden)  # type: ignore[attr-defined]
        return None if likely is None else Range(likely / 2, likely, likely * 2)

    return Purse(Budget.parse(words, rate=2.0), price, Resources(**resources), clock)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "seconds", "of_devices"),
    [("4h", 14_400, False), ("30min", 1_800, False), ("1.5d", 129_600, False), ("20GPUh", 72_000, True),
     ("10USD", 18_000, True)],
)  # fmt: skip
def test_a_budget_is_time_or_device_hours_or_money_at_a_rate(
    words: str, seconds: float, of_devices: bool
) -> None:
    budget = Budget.parse(words, rate=2.0)
    assert (budget.seconds, budget.of_devices) == (seconds, of_devices)


@pytest.mark.parametrize("words", ["", "4", "h", "-4h", "4 parsecs", "0h", "nan h"])
def test_what_is_no_budget_is_refused_with_the_forms_that_are(words: str) -> None:
    with pytest.raises(SpecError, match=r"a time \(4h, 30min\), device-hours \(20GPUh\) or money \(10USD\)"):
        Budget.parse(words)


def test_money_needs_a_price() -> None:
    with pytest.raises(SpecError, match="add --rate"):
        Budget.parse("10USD")


def test_the_upper_estimate_decides_and_not_the_likely_one() -> None:
    held = purse("1min", Clock(), {2: 30.0, 3: 31.0})
    assert held.affords(spec(2))
    assert not held.affords(spec(3))


def test_what_has_no_price_is_not_afforded() -> None:
    assert not purse("9d", Clock(), {}).affords(spec(2))


def test_by_the_clock_runs_at_the_same_time_cost_no_more_than_one() -> None:
    clock = Clock()
    held = purse("1min", clock, {2: 20.0})
    held.begin(spec(2))
    assert held.affords(spec(2))
    clock.time = 21
    assert not held.affords(spec(2))
    assert not held.empty
    clock.time = 61
    assert held.empty


def test_by_devices_what_is_at_work_counts_with_the_most_it_may_take() -> None:
    """An hour of 2 workers with 2 GPUs each is 4 GPU-hours."""
    clock = Clock()
    held = purse("10GPUh", clock, {2: 3600.0}, workers=2, gpus=2)
    assert held.affords(spec(2))
    held.begin(spec(2))
    assert not held.affords(spec(2)), "8 of 10 are promised"
    clock.time = 900
    held.end(spec(2).digest)
    assert held.spent == 4 * 900
    assert held.affords(spec(2)), "1 + 8 of 10"


def record(*complete: ExperimentSpec) -> MemoryTracker:
    tracker = MemoryTracker()
    for each in complete:
        tracker.end(tracker.begin(each, name="toy", owner="here:1:0", tags={}).run_id, Status.COMPLETE)
    return tracker


def agenda(held: Purse, *, in_order: bool, complete: tuple[ExperimentSpec, ...] = ()) -> WithinBudget:
    cases = tuple(Case(str(hidden), spec(hidden)) for hidden in (2, 9, 3))
    sweep = Ablation("toys", "laptop", cases, seeds=(0,))
    return WithinBudget(AblationAgenda(sweep), held, record(*complete), in_order=in_order)


def test_an_ablation_passes_over_what_is_too_dear_and_says_so() -> None:
    within = agenda(purse("1min", Clock(), {2: 10, 9: 100, 3: 10}), in_order=False)
    jobs = [within.next() for _ in range(3)]
    assert [job and job.label for job in jobs] == ["2", "3", None]
    assert [job.label for job in within.put_off] == ["9"]


def test_a_search_lets_nothing_overtake_what_is_too_dear() -> None:
    within = agenda(purse("1min", Clock(), {2: 10, 9: 100, 3: 10}), in_order=True)
    jobs = [within.next() for _ in range(3)]
    assert [job and job.label for job in jobs] == ["2", None, None]


def test_what_is_on_record_costs_nothing() -> None:
    within = agenda(purse("1min", Clock(), {2: 10, 3: 10}), in_order=False, complete=(spec(9),))
    assert [(job := within.next()) and job.label for _ in range(4)] == ["2", "9", "3", None]


def test_what_could_not_be_afforded_is_begun_when_others_took_less_than_they_might_have() -> None:
    clock = Clock()
    within = agenda(purse("1workerh", clock, {2: 1000, 9: 1000, 3: 9000}), in_order=False)
    first = within.next()
    assert first is not None
    assert within.next() is None
    clock.time = 100
    run = record(first.spec).find([first.spec.digest])[first.spec.digest]
    within.settle(first, run)
    second = within.next()
    assert second is not None
    assert second.label == "9"
    assert within.next() is None
    clock.time = 200
    within.settle(second, run)
    assert within.next() is None
    assert [job.label for job in within.put_off] == ["3"]


@pytest.mark.parametrize("in_order", [True, False])
def test_a_job_is_not_lost_where_the_record_does_not_say_whether_it_is_done(
    in_order: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(digests: object) -> dict[str, RunRecord]:
        raise TrackingUnreachable("away")

    within = agenda(purse("4h", Clock(), {2: 1, 9: 1, 3: 1}), in_order=in_order)
    with monkeypatch.context() as patch:
        patch.setattr(within.tracker, "find", away)
        with pytest.raises(TrackingUnreachable):
            within.next()
    assert [(job := within.next()) and job.label for _ in range(4)] == ["2", "9", "3", None]

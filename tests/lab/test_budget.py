"""A budget holds whatever happens: what may pass it is not begun."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from lab import Ablation, Case, Resources, Settings
from lab.agenda import AblationAgenda
from lab.budget import Budget, Purse
from lab.drive import NO_MORE, Drive
from lab.errors import SpecError, TrackingUnreachable
from lab.forecast import Range
from lab.spec import ExperimentSpec
from lab.tracking.lease import this_process
from lab.tracking.memory import MemoryTracker
from lab.tracking.recorder import Recorder
from lab.tracking.tracker import RunRecord, Status
from lab.trial import Work
from tests.lab.toy import ToyModel, toy_spec

ME = this_process()


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


@pytest.mark.parametrize(
    ("budget", "seconds", "words"),
    [("4h", 3600 * 12.31, "13h"), ("4h", 700, "0.2h"), ("30min", 601, "11min"),
     ("2GPUh", 3600 * 480, "480GPUh"), ("10USD", 3600 * 7.01, "15USD"), ("1d", 86_400 * 123.4, "130d")],
)  # fmt: skip
def test_a_larger_budget_is_said_in_the_same_unit_and_rounded_up(
    budget: str, seconds: float, words: str
) -> None:
    large = Budget.parse(budget, rate=2.0).large_enough(seconds)
    assert large.words == words
    assert large.seconds >= seconds
    assert Budget.parse(words, rate=2.0).seconds == pytest.approx(large.seconds)


def test_the_upper_estimate_decides_and_not_the_likely_one() -> None:
    held = purse("1min", Clock(), {2: 30.0, 3: 31.0})
    assert held.affords(spec(2))
    assert not held.affords(spec(3))


def test_what_has_no_price_is_not_afforded() -> None:
    assert not purse("9d", Clock(), {}).affords(spec(2))


def test_by_the_clock_runs_at_the_same_time_cost_no_more_than_one() -> None:
    clock = Clock()
    held = purse("1min", clock, {2: 20.0, 3: 20.0})
    assert held.affords(spec(2))
    held.begin(spec(2).digest)
    assert held.affords(spec(3))
    held.release(spec(3).digest)
    clock.time = 21
    assert not held.affords(spec(3))
    assert not held.empty
    clock.time = 61
    assert held.empty


def test_by_devices_what_is_at_work_counts_with_the_most_it_may_take() -> None:
    """An hour of 2 workers with 2 GPUs each is 4 GPU-hours."""
    clock = Clock()
    held = purse("10GPUh", clock, {2: 3600.0, 3: 3600.0}, workers=2, gpus=2)
    assert held.affords(spec(2))
    held.begin(spec(2).digest)
    assert not held.affords(spec(3)), "8 of 10 are promised"
    clock.time = 900
    held.end(spec(2).digest)
    assert held.spent == 4 * 900
    assert held.affords(spec(3)), "1 + 8 of 10"


def test_what_was_promised_and_never_begins_costs_nothing() -> None:
    clock = Clock()
    held = purse("1workerh", clock, {2: 1000.0, 3: 1000.0})
    assert held.affords(spec(2))
    assert not held.affords(spec(3)), "twice 2,000 s"
    clock.time = 500
    assert held.spent == 0
    held.release(spec(2).digest)
    assert held.affords(spec(3))
    held.end(spec(2).digest)
    assert held.spent == 0


@pytest.mark.parametrize(("words", "spent"), [("10GPUh", 2 * 30.0), ("1h", 0.0)])
def test_a_probe_is_charged_with_the_devices_of_the_one_worker_it_takes(words: str, spent: float) -> None:
    """Four workers with two GPUs each; by the clock its time is charged as it passes."""
    held = purse(words, Clock(), {}, workers=4, gpus=2)
    held.charge(30.0)
    assert held.spent == spent


class Sweep:
    """A command's way through three toys of the widths 2, 9 and 3, of which nobody trains one."""

    def __init__(self, held: Purse, folder: Path, tracker: MemoryTracker, *cases: int) -> None:
        toys = tuple(Case(f"{place}: {hidden}", spec(hidden)) for place, hidden in enumerate(cases))
        found = Ablation("toys", "laptop", toys, seeds=(0,))
        settings = Settings("memory", str(folder), str(folder / "saved"), str(folder / "data"))
        self.tracker, self.purse = tracker, held
        self.drive = Drive(
            found, AblationAgenda(found), tracker.group("toys", kind="ablation", scale="laptop", owner=ME),
            resources=Resources(), settings=settings, tracker=tracker, say=lambda text: None, purse=held,
        )  # fmt: skip
        self.drive.attach(Recorder(lambda: tracker, ME), 2)

    def propose(self, trial: str, *, begun: bool = True) -> int | str | None:
        """The width of what is proposed; it begins at once."""
        work = self.drive.propose(trial)
        if not isinstance(work, Work):
            return work
        if begun:
            self.drive.begun(trial)
        return work.spec.model.hidden  # type: ignore[attr-defined]

    def finish(self, trial: str, status: Status = Status.COMPLETE, *, starved: bool = False) -> None:
        self.drive.finish(trial, status, "", starved=starved)

    @property
    def put_off(self) -> list[str]:
        return [job.label for job in self.drive.allowance.put_off]


@pytest.fixture
def sweep(tmp_path: Path) -> Callable[..., Sweep]:
    def make(held: Purse, *cases: int, tracker: MemoryTracker | None = None) -> Sweep:
        return Sweep(held, tmp_path, tracker or MemoryTracker(), *(cases or (2, 9, 3)))

    return make


Make = Callable[..., Sweep]


def test_an_ablation_passes_over_what_is_too_dear_and_says_so(sweep: Make) -> None:
    within = sweep(purse("1min", Clock(), {2: 10, 9: 100, 3: 10}))
    assert [within.propose(trial) for trial in "123"] == [2, 3, None]
    within.finish("1")
    within.finish("2")
    assert within.propose("3") == NO_MORE
    assert within.put_off == ["1: 9"]
    assert "left out by the budget of 1min (0s spent): 1: 9 seed 0, which may take 3m20s" in (
        within.drive.allowance.told()
    )


def test_a_search_lets_nothing_overtake_what_is_too_dear(sweep: Make) -> None:
    within = sweep(purse("1min", Clock(), {2: 10, 9: 100, 3: 10}))
    within.drive.allowance.in_order = True
    assert [within.propose(trial) for trial in "12"] == [2, None]
    within.finish("1")
    assert within.propose("2") == NO_MORE


def test_what_is_on_record_costs_nothing(sweep: Make) -> None:
    tracker = MemoryTracker()
    tracker.end(tracker.begin(spec(9), name="toy", owner=ME, tags={}).run_id, Status.COMPLETE)
    within = sweep(purse("1min", Clock(), {2: 10, 3: 10}), tracker=tracker)
    assert [within.propose(trial) for trial in "12"] == [2, 3]
    assert within.put_off == []
    assert within.drive.tally.reused == 1


def test_what_could_not_be_afforded_is_begun_when_others_took_less_than_they_might_have(sweep: Make) -> None:
    clock = Clock()
    within = sweep(purse("1workerh", clock, {2: 1000, 9: 1000, 3: 9000}))
    assert [within.propose(trial) for trial in "12"] == [2, None]
    clock.time = 100
    within.finish("1")
    assert [within.propose(trial) for trial in "23"] == [9, None]
    clock.time = 200
    within.finish("2")
    assert within.propose("3") == NO_MORE
    assert within.put_off == ["2: 3"]
    assert within.purse.spent == 200


def test_only_the_time_between_its_place_and_its_end_is_charged_to_a_run(sweep: Make) -> None:
    """Ray starts, a node is awaited: nobody works yet."""
    clock = Clock()
    within = sweep(purse("1workerh", clock, {2: 100}), 2)
    assert within.drive.anything_left()
    clock.time = 300
    assert within.propose("1", begun=False) == 2
    clock.time = 700
    assert within.purse.spent == 0
    within.drive.begun("1", ago=20)
    clock.time = 750
    within.drive.begun("1", ago=0)
    assert within.purse.spent == 70
    within.finish("1")
    clock.time = 9000
    assert within.purse.spent == 70


def test_a_run_is_charged_once_and_whole_however_many_jobs_wait_for_it(sweep: Make) -> None:
    clock = Clock()
    within = sweep(purse("1workerh", clock, {2: 100}), 2, 2, 2)
    assert within.propose("1") == 2
    clock.time = 60
    assert within.propose("2") is None
    clock.time = 100
    within.finish("1")
    assert within.propose("2") == NO_MORE
    assert within.purse.spent == 100
    assert within.drive.tally.complete == 3


def test_a_run_that_another_process_has_takes_nothing_from_the_budget(
    sweep: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.backlog.TAKEN_LOOK_SECONDS", 0.01)
    clock, tracker = Clock(), MemoryTracker()
    other = tracker.begin(spec(2), name="toy", owner="elsewhere:1:1", tags={})
    within = sweep(purse("1workerh", clock, {2: 1000, 3: 1000}), 2, 3, tracker=tracker)
    assert within.propose("1") == 3, "3,600 s hold one of the two at most"
    clock.time = 500
    within.finish("1")
    assert within.purse.spent == 500
    time.sleep(0.02)
    assert within.propose("2") is None
    tracker.end(other.run_id, Status.COMPLETE)
    time.sleep(0.02)
    assert within.propose("2") == NO_MORE
    assert within.purse.spent == 500


def test_a_trial_that_is_tried_again_alone_is_charged_for_both_tries_and_not_for_the_time_between(
    sweep: Make,
) -> None:
    clock = Clock()
    within = sweep(purse("1workerh", clock, {2: 100, 3: 100}), 2, 3)
    assert [within.propose(trial) for trial in "12"] == [2, 3]
    clock.time = 10
    within.finish("1", Status.FAILED, starved=True)
    clock.time = 200
    within.finish("2")
    clock.time = 1000
    assert within.propose("3") == 2
    clock.time = 1050
    within.finish("3")
    assert within.purse.spent == 10 + 200 + 50


def test_what_is_tried_again_has_to_be_afforded_again(sweep: Make) -> None:
    clock = Clock()
    within = sweep(purse("1workerh", clock, {2: 1000}), 2)
    assert within.propose("1") == 2
    clock.time = 1700
    within.finish("1", Status.FAILED, starved=True)
    assert within.propose("2") == NO_MORE
    assert within.put_off == ["0: 2"]


@pytest.mark.parametrize("in_order", [True, False])
def test_a_job_is_not_lost_where_the_record_does_not_say_whether_it_is_done(
    in_order: bool, sweep: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(digests: object) -> dict[str, RunRecord]:
        raise TrackingUnreachable("away")

    monkeypatch.setattr("lab.outage.AWAY_LOOK_SECONDS", 0.0)
    within = sweep(purse("4h", Clock(), {2: 1, 9: 1, 3: 1}))
    within.drive.allowance.in_order = in_order
    with monkeypatch.context() as patch:
        patch.setattr(within.tracker, "find", away)
        assert within.propose("1") is None
    assert [within.propose(trial) for trial in "123"] == [2, 9, 3]

"""What a waiting job would complete and cost: cells, and device-hours by the record or by operations."""

from dataclasses import replace

import pytest

from lab import catalog
from lab.commands.worth import UNKNOWN_SPEED, worth
from lab.errors import LabError
from lab.forecast import operations, split_sizes
from lab.settings import Settings
from lab.tracking.memory import MemoryTracker
from lab.tracking.tracker import Status

SETTINGS = Settings("", "", "", data="/nowhere")
HOUR = 3600.0


class Took(MemoryTracker):
    """A record whose complete runs took so many seconds."""

    seconds = 2 * HOUR

    def _took(self, run):
        return replace(run, started=0.0, ended=self.seconds, worked=self.seconds, since=None)

    def find(self, digests):
        return {digest: self._took(run) for digest, run in super().find(digests).items()}

    def runs(self, **how):
        return [self._took(run) for run in super().runs(**how)]


def record(*specs):
    tracker = Took()
    for spec in specs:
        run = tracker.begin(spec, name="x", owner="here:1:0", tags={})
        tracker.end(run.run_id, Status.COMPLETE)
    return tracker


def test_cells_are_the_cases_that_lack_a_run_and_unknown_cost_is_counted_operations() -> None:
    (*rest, last) = catalog.sweep("table6", "paper").cases
    words = ["sweep", "table6", "--scale", "paper", "--seeds", "0,1"]
    cells, hours = worth(words, record(), SETTINGS)
    assert cells == len(rest) + 1
    counted = sum(operations(case.spec, split_sizes(case.spec, "/nowhere")) for case in (*rest, last))
    assert hours == pytest.approx(2 * counted / UNKNOWN_SPEED / HOUR)
    done = record(last.with_seed(0), last.with_seed(1))
    assert worth(words, done, SETTINGS)[0] == len(rest)


def test_a_search_is_one_decision_however_many_trials_it_takes() -> None:
    few, many = (
        worth(["sweep", "perceiver", "--scale", "paper", "--trials", n], record(), SETTINGS)
        for n in ("4", "8")
    )
    assert few[0] == many[0] == 1
    assert few[1] < many[1]


def test_what_the_record_has_timed_costs_that_for_every_device_it_holds() -> None:
    first, *_ = catalog.sweep("table6", "paper").cases
    words = ["sweep", "table6", "--scale", "paper", "--seeds", "0,1,2", "--only", first.label]
    one = worth(words, record(first.with_seed(0)), SETTINGS)
    assert one == (1, pytest.approx(2 * 2.0)), "two seeds of two hours"
    many = worth([*words, "--workers", "8", "--gpus", "1"], record(first.with_seed(0)), SETTINGS)
    assert many == (1, pytest.approx(8 * 2 * 2.0))


def test_a_training_is_one_cell_and_nothing_when_it_is_on_record() -> None:
    spec = catalog.experiment("imagenet.fourier", "paper")
    words = ["train", "imagenet.fourier", "--scale", "paper"]
    assert worth([*words, "--seed", "3"], record(spec), SETTINGS) == (1, pytest.approx(2.0))
    assert worth(words, record(spec), SETTINGS) == (0, 0.0)
    changed = worth([*words, "--optimizer.lr", "0.001"], record(spec), SETTINGS)
    assert changed == (1, pytest.approx(2.0)), "as fast as its kind"


def test_what_cannot_be_told_is_an_error_of_one_line() -> None:
    with pytest.raises(LabError, match="no sweep 'table66'"):
        worth(["sweep", "table66"], record(), SETTINGS)

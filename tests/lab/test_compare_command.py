"""`lab compare`: runs side by side, and only what differs."""

import pytest

from lab.commands.compare import one, side_by_side
from lab.errors import UnknownName
from lab.tracking.memory import MemoryTracker
from lab.tracking.tracker import Scalar, Status
from tests.lab.toy import ToyModel, toy_spec


def record(*made):
    """A record of (specification, metrics, tags)."""
    tracker = MemoryTracker()
    for spec, metrics, tags in made:
        run = tracker.begin(spec, name="toy", owner="here:1:0", tags=tags)
        tracker.log(run.run_id, [Scalar(name, 1, value) for name, value in metrics.items()])
        tracker.end(run.run_id, Status.COMPLETE)
    return tracker.runs()


CLEAN = {"commit": "c0ffee", "dirty": "false", "fingerprint": "toy"}


def words(lines):
    return [line.split() for line in lines]


def test_only_the_fields_that_differ_are_shown_side_by_side():
    runs = record(
        (toy_spec(), {"test/top1": 0.5}, CLEAN),
        (toy_spec(seed=1, model=ToyModel(hidden=16)), {"test/top1": 0.75, "train/loss": 0.1}, CLEAN),
    )
    lines = words(side_by_side(runs))
    assert ["model.hidden", "8", "16"] in lines
    assert ["seed", "0", "1"] in lines
    assert not any(line[:1] == ["batch_size"] for line in lines)
    assert ["test/top1", "0.5", "0.75", "(+0.25)"] in lines
    assert ["train/loss", "–", "0.1"] in lines
    assert "made with: the same" in list(side_by_side(runs))
    assert any(line[:1] == ["batch_size"] for line in words(side_by_side(runs, everything=True)))


def test_code_and_data_are_compared_too():
    other = CLEAN | {"commit": "beef", "fingerprint": "toy.2"}
    lines = words(side_by_side(record((toy_spec(), {}, CLEAN), (toy_spec(seed=1), {}, other))))
    assert ["commit", "c0ffee", "beef"] in lines
    assert ["fingerprint", "toy", "toy.2"] in lines
    assert not any(line[:1] == ["dirty"] for line in lines)


def test_a_run_is_named_by_the_beginning_of_its_digest_or_id():
    runs = record((toy_spec(), {}, CLEAN), (toy_spec(seed=1), {}, CLEAN))
    assert one(runs[0].digest[:8], runs) is runs[0]
    assert one(runs[1].run_id, runs) is runs[1]
    with pytest.raises(UnknownName, match="no run on record begins with 'xyz'"):
        one("xyz", runs)
    with pytest.raises(UnknownName, match="2 runs on record begin with ''"):
        one("", runs)

"""Training on a real Ray Train worker group: the same numbers, the same refusals, any worker may die."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from lab import Evaluation, Resources, Settings, Sgd, Steps
from lab.errors import CorruptShard, Diverged, Interrupted, MissingDataset
from lab.train.checkpoint import CheckpointStore
from lab.train.distributed import launch
from lab.train.loop import Evaluated, Resumed, Saved, Stepped
from lab.train.run import train
from tests.lab.toy import FileLedger, Ledger, ToyData, toy_spec

pytestmark = pytest.mark.usefixtures("local_ray")
TWO = Resources(workers=2, cpus=1)


@pytest.fixture
def settings(tmp_path):
    return Settings(
        tracking="", artifacts="", storage=str(tmp_path / "checkpoints"), data=str(tmp_path / "data")
    )


def test_two_workers_give_the_metrics_of_one_and_their_events_reach_the_driver(settings, tmp_path):
    spec = toy_spec(
        optimizer=Sgd(lr=0.05), duration=Steps(60), evaluation=Evaluation(every=Steps(20), at_end=("test",))
    )
    alone = Ledger()
    train(spec, data_root="", storage=str(tmp_path / "alone"), sink=alone)
    sink, events = FileLedger(str(tmp_path / "ledger.json")), []
    metrics = launch(spec, TWO, settings, sink, on_event=events.append)

    curve = sink.curve()
    assert curve == pytest.approx(alone.curve(), rel=1e-4)
    assert {k: v for k, v in curve.items() if "top1" in k[0]} == {
        k: v for k, v in alone.curve().items() if "top1" in k[0]
    }
    assert metrics["test/top1"] == curve["test/top1", 60]
    assert [event.step for event in events if isinstance(event, Evaluated)] == [20, 40, 60]
    assert max(event.step for event in events if isinstance(event, Stepped)) == 60


@pytest.mark.slow
def test_a_worker_killed_at_work_changes_nothing_in_the_end(settings, tmp_path):
    spec = toy_spec(duration=Steps(900), evaluation=Evaluation(every=Steps(300)))
    launch(spec, TWO, settings, FileLedger(str(tmp_path / "whole.json")))
    whole = CheckpointStore(settings.storage, spec.digest)
    bits = (Path(whole.address) / "step-000000900" / "model.safetensors").read_bytes()
    shutil.rmtree(whole.address)

    sink, events = FileLedger(str(tmp_path / "killed.json")), []

    def kill_once(event):
        if isinstance(event, Saved) and not any(isinstance(e, Saved) for e in events):
            os.kill(int((tmp_path / "killed.pid").read_text()), signal.SIGKILL)
        events.append(event)

    launch(spec, TWO, settings, sink, on_event=kill_once, checkpoint_every=0.2)
    assert any(isinstance(event, Resumed) for event in events)
    assert (Path(whole.address) / "step-000000900" / "model.safetensors").read_bytes() == bits
    assert sink.curve() == FileLedger(str(tmp_path / "whole.json")).curve()


@pytest.mark.slow
def test_asked_to_stop_the_group_writes_a_checkpoint_and_the_next_one_goes_on(settings, tmp_path):
    spec = toy_spec(duration=Steps(3000), evaluation=Evaluation(every=Steps(3000)))
    sink, steps = FileLedger(str(tmp_path / "ledger.json")), []

    def watch(event):
        steps.append(event.step)

    with pytest.raises(Interrupted, match="the same command continues from there"):
        launch(spec, TWO, settings, sink, on_event=watch, should_stop=lambda: bool(steps) and steps[-1] > 20)
    reached = CheckpointStore(settings.storage, spec.digest).latest().step
    assert 20 < reached < 3000
    events = []
    launch(spec, TWO, settings, sink, on_event=events.append)
    assert events[0] == Resumed(reached)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (ToyData(fault="missing"), MissingDataset, "run `lab data prepare toy`"),
        (ToyData(poison=True), Diverged, "the loss is nan at step 1"),
        (ToyData(fault="corrupt"), CorruptShard, "toy/train-00003.parquet is not what was written"),
    ],
    ids=["all-workers", "diverged", "one-worker"],
)
def test_a_refusal_in_a_worker_is_the_same_refusal_in_the_driver(settings, tmp_path, data, error, message):
    with pytest.raises(error, match=message) as caught:
        launch(toy_spec(data=data), TWO, settings, FileLedger(str(tmp_path / "ledger.json")))
    assert "\n" not in str(caught.value)


def test_workers_that_wait_for_room_keep_nobody_who_wants_to_stop(settings, tmp_path):
    """There are two CPUs, and three workers want one each."""
    sink = FileLedger(str(tmp_path / "ledger.json"))
    with pytest.raises(Interrupted, match="before its workers had a place"):
        launch(toy_spec(), Resources(workers=3, cpus=1), settings, sink, should_stop=lambda: True)

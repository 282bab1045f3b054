"""A run that was interrupted is the run that was not."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from lab import AdamW, Epochs, Lamb, Sgd, Steps
from lab.errors import CheckpointError, DataChanged, Diverged, Interrupted, MissingDataset
from lab.retention import Retention
from lab.tracking.once import PACE
from lab.train.checkpoint import CheckpointStore
from lab.train.group import Group
from lab.train.loop import Evaluated, Resumed, Saved, Stepped
from lab.train.run import train
from lab.train.state import Training
from lab.train.stop import StopRequest
from tests.lab.toy import RICH, FileLedger, Ledger, ToyData, prepare_toy, stop_after, toy_spec

ROOT = Path(__file__).parents[2]


def go(spec, storage, sink=None, **options):
    return train(spec, data_root="", storage=str(storage), sink=sink or Ledger(), **options)


def files(storage, spec) -> dict[str, bytes]:
    """The bytes of the last checkpoint: weights, moments, step and loss."""
    store = CheckpointStore(str(storage), spec.digest)
    place = Path(store.address) / f"step-{store.steps()[0]:09d}"
    return {name: (place / name).read_bytes() for name in ("model.safetensors", "optimizer.safetensors")}


@pytest.mark.parametrize(
    "optimizer", [Lamb(lr=0.01, weight_decay=0.1), AdamW(), Sgd()], ids=["lamb", "adamw", "sgd"]
)
def test_interrupted_anywhere_it_ends_with_the_same_bits_and_the_same_curve(tmp_path, optimizer):
    """After the first step, within an epoch and a half-finished mean, after an evaluation, before the end."""
    spec = RICH.override({"optimizer": optimizer})
    whole = Ledger()
    metrics = go(spec, tmp_path / "whole", whole)

    broken = Ledger()
    for step in (1, 37, 70, 103, 239):
        broken.waiting = []
        with pytest.raises(
            Interrupted, match=f"stopped after step {step} of 240; the same command continues"
        ):
            go(spec, tmp_path / "broken", broken, **stop_after(step))
    resumed = go(spec, tmp_path / "broken", broken)

    assert files(tmp_path / "whole", spec) == files(tmp_path / "broken", spec)
    assert whole.curve() == broken.curve()
    assert {k: v for k, v in metrics.items() if not k.startswith(PACE)} == {
        k: v for k, v in resumed.items() if not k.startswith(PACE)
    }


def test_a_killed_process_continues_to_the_same_bits_and_the_same_curve(tmp_path):
    ledger = tmp_path / "ledger.json"
    command = [sys.executable, "-m", "tests.lab.killable", str(tmp_path / "killed"), str(ledger)]
    paths = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    )
    store = CheckpointStore(str(tmp_path / "killed"), RICH.digest)
    while process.poll() is None and (store.steps() or [0])[0] < 20:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = store.latest().step
    assert 0 < reached < 240

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole, rest, events = Ledger(), Ledger(), []
        go(RICH, tmp_path / "whole", whole)
        go(RICH, tmp_path / "killed", rest, on_event=events.append)
    finally:
        torch.set_num_threads(threads)
    assert events[0] == Resumed(reached)
    assert files(tmp_path / "whole", RICH) == files(tmp_path / "killed", RICH)
    before = FileLedger(str(ledger)).curve()
    assert before | rest.curve() == rest.curve() | before == whole.curve()


def test_a_checkpoint_of_other_data_is_not_continued(tmp_path):
    prepare_toy(tmp_path / "data", edition=1)
    whole = tmp_path / "checkpoints"
    options = {"data_root": str(tmp_path / "data"), "storage": str(whole), "sink": Ledger()}
    with pytest.raises(Interrupted):
        train(RICH, **options, **stop_after(37))
    prepare_toy(tmp_path / "data", edition=2)
    with pytest.raises(DataChanged, match=r"step 37 under .* made from data toy\.1, but there is toy\.2 now"):
        train(RICH, **options)
    prepare_toy(tmp_path / "data", edition=1)
    events = []
    train(RICH, **options, on_event=events.append)
    assert events[0] == Resumed(37)


def test_a_finished_run_is_measured_again_and_not_trained(tmp_path):
    spec = toy_spec()
    first, events = go(spec, tmp_path), []
    again = go(spec, tmp_path, on_event=events.append)
    assert [type(event) for event in events] == [Resumed, Evaluated]
    assert again == first


def test_the_record_is_flushed_before_a_checkpoint_is_written(tmp_path):
    """Whatever step a checkpoint holds, the values up to it are no longer waiting."""
    sink, spec = Ledger(), toy_spec(duration=Steps(25))
    waiting = []

    def look(event):
        if isinstance(event, Saved):
            waiting.append(list(sink.waiting))

    go(spec, tmp_path, sink, checkpoint_every=0, on_event=look)
    assert waiting == [[]] * 25
    assert {step for name, step in sink.values if name == "train/loss"} == set(range(1, 26))


def test_the_loss_on_record_is_the_mean_since_the_last_point(tmp_path):
    sink, losses, spec = Ledger(), {}, toy_spec(duration=Steps(250))

    def look(event):
        if isinstance(event, Stepped):
            losses[event.step] = float(event.loss)

    go(spec, tmp_path, sink, on_event=look)
    points = {step: value for (name, step), value in sink.values.items() if name == "train/loss"}
    assert sorted(points) == list(range(2, 251, 2))
    for step, value in points.items():
        assert value == pytest.approx((losses[step] + losses[step - 1]) / 2, rel=1e-12)


def test_a_short_run_is_written_down_once(tmp_path):
    saved = []
    go(toy_spec(), tmp_path, on_event=lambda event: saved.append(event) if isinstance(event, Saved) else None)
    assert saved == [Saved(21)]


def test_milestones_are_written_when_they_come_and_stay(tmp_path):
    """Too short a run for a checkpoint by the clock: one at each milestone, in steps or epochs of seven."""
    for every, expected in ((Steps(8), [21, 16, 8]), (Epochs(1), [21, 14, 7])):
        storage = tmp_path / str(every)
        go(toy_spec(), storage, retention=Retention(1, every))
        assert CheckpointStore(str(storage), toy_spec().digest).steps() == expected


def test_steps_go_on_while_a_checkpoint_is_written(tmp_path):
    """The record takes its time to flush, in which nobody else has to wait."""
    begun, during = threading.Event(), []

    class Slow(Ledger):
        def flush(self) -> None:
            begun.set()
            time.sleep(0.5)
            super().flush()

    def watch(event):
        time.sleep(0.01)
        if isinstance(event, Stepped | Saved) and begun.is_set():
            during.append(event)

    go(toy_spec(duration=Steps(150)), tmp_path, Slow(), checkpoint_every=0.1, on_event=watch)
    first = next(event for event in during if isinstance(event, Saved))
    assert during.index(first) > 5
    assert first.step < during[5].step
    assert {event.step for event in during if isinstance(event, Stepped)} >= set(range(100, 151))


def test_the_result_holds_every_metric_at_its_last_value(tmp_path):
    metrics = go(toy_spec(), tmp_path)
    assert set(metrics) == {
        "train/loss", "lr", "pace/examples_per_second", "pace/step_seconds", "pace/data_share",
        "pace/communication_share", "pace/flops_per_second", "pace/peak_memory_bytes",
        "validation/loss", "validation/top1", "validation/top5", "test/loss", "test/top1", "test/top5",
    }  # fmt: skip


def test_saying_no_to_an_evaluation_ends_the_run_with_a_checkpoint_from_which_it_can_go_on(tmp_path):
    spec = toy_spec()
    metrics = go(spec, tmp_path, on_evaluated=lambda step, metrics: step < 14)
    assert "test/top1" not in metrics
    assert CheckpointStore(str(tmp_path), spec.digest).latest().step == 14
    go(spec, tmp_path)
    go(spec, tmp_path / "whole")
    assert files(tmp_path, spec) == files(tmp_path / "whole", spec)


def test_what_an_evaluation_callback_raises_comes_through(tmp_path):
    def prune(step, metrics):
        raise SystemExit

    with pytest.raises(SystemExit):
        go(toy_spec(), tmp_path, on_evaluated=prune)


def test_a_damaged_checkpoint_costs_only_the_steps_since_the_one_before(tmp_path):
    spec = toy_spec()
    go(spec, tmp_path / "whole")
    with pytest.raises(Interrupted):
        go(spec, tmp_path / "broken", checkpoint_every=0, **stop_after(12))
    store = CheckpointStore(str(tmp_path / "broken"), spec.digest)
    (Path(store.address) / "step-000000012" / "model.safetensors").write_bytes(b"")
    events = []
    go(spec, tmp_path / "broken", on_event=events.append)
    assert events[0] == Resumed(11)
    assert files(tmp_path / "whole", spec) == files(tmp_path / "broken", spec)


def test_nothing_is_written_of_a_run_that_diverged_at_once(tmp_path):
    spec = toy_spec(data=ToyData(poison=True))
    with pytest.raises(Diverged):
        go(spec, tmp_path, checkpoint_every=0)
    assert CheckpointStore(str(tmp_path), spec.digest).steps() == []


def test_data_that_is_not_there_is_said_before_anything_is_built(tmp_path):
    with pytest.raises(MissingDataset, match="run `lab data prepare toy`"):
        go(toy_spec(data=ToyData(fault="missing")), tmp_path)


def test_a_checkpoint_of_another_model_is_refused():
    small = Training.begin(toy_spec(), torch.device("cpu"))
    with pytest.raises(CheckpointError, match="is of another model: batch_norm"):
        Training.begin(RICH, torch.device("cpu")).restore(small.capture({}))


def test_the_first_control_c_asks_and_the_second_interrupts():
    with StopRequest() as request:
        assert not request()
        signal.raise_signal(signal.SIGINT)
        assert request()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_single_process_says_what_it_knows_without_asking_anyone():
    group = Group.alone()
    assert group.leads
    assert group.all_reduce_sums({"a": torch.tensor(2.0), "b": torch.tensor(3)}) == {"a": 2.0, "b": 3.0}
    assert group.anyone(True)
    assert group.leader_says(7) == 7


def test_epochs_and_steps_of_the_same_length_give_the_same_run(tmp_path):
    by_epochs, by_steps = toy_spec(duration=Epochs(2)), toy_spec(duration=Steps(14))
    go(by_epochs, tmp_path)
    go(by_steps, tmp_path)
    assert files(tmp_path, by_epochs) == files(tmp_path, by_steps)

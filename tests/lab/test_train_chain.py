"""The chain of a run: what it depends on, what it does not, and where two runs part."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from lab import Steps
from lab.errors import Interrupted, RecordError
from lab.retention import Retention
from lab.tracking.lease import this_process
from lab.tracking.memory import MemoryTracker
from lab.tracking.recorder import Recorder
from lab.train.chain import Chain, parting
from lab.train.checkpoint import CheckpointStore
from lab.train.loop import Stepped
from lab.train.run import train
from tests.lab.toy import RICH, Ledger, prepare_toy, stop_after

SPEC = RICH.override({"duration": Steps(70)})


def go(storage: Path, spec=SPEC, data="", **options) -> Chain:
    """The chain that is kept with a run."""
    sink = Ledger()
    train(spec, data_root=str(data), storage=str(storage), sink=sink, **options)
    chain = Chain.read(sink.files["chain.json"])
    assert sink.tags["chain"] == chain.head
    assert sink.tags["made.workers"] == str(options.get("workers", 1))
    return chain


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Chain:
    return go(tmp_path_factory.mktemp("whole"))


def test_every_point_of_the_curve_and_everything_of_an_evaluation_is_a_link(whole):
    losses = [(step, "loss") for step in range(1, 71)]
    assert [(link.step, link.kind) for link in whole.links if link.kind == "loss"] == losses
    at = {step: [link.kind for link in whole.links if link.step == step] for step in (35, 70)}
    assert at[35] == ["loss", "weights", "validation/loss", "validation/top1", "validation/top5"]
    assert at[70][:2] == ["loss", "weights"]
    assert {"validation/top1", "test/top1"} <= set(at[70])
    assert len(whole.links) == 68 + len(at[35]) + len(at[70])
    assert {(link.epoch, link.start) for link in whole.links if link.step == 35} == {(5, 0)}


def test_a_link_is_the_hash_of_what_it_says_and_of_the_one_before(whole):
    """Written out here with hashlib, for whoever wants to check it in another language."""
    before = hashlib.sha256(json.dumps(["genesis", SPEC.digest, "toy"]).encode()).hexdigest()
    for link in whole.links:
        words = [before, link.step, link.epoch, link.start, link.kind, link.value]
        before = hashlib.sha256(json.dumps(words).encode()).hexdigest()
        assert link.hash == before
    assert whole.head == before


def test_the_losses_in_it_are_exact_and_the_weights_those_of_the_checkpoint(tmp_path):
    losses = {}

    def look(event):
        if isinstance(event, Stepped):
            losses[event.step] = float(event.loss)

    chain = go(tmp_path, on_event=look)
    assert {link.step: float.fromhex(link.value) for link in chain.links if link.kind == "loss"} == losses
    place = Path(CheckpointStore(str(tmp_path), SPEC.digest).address, "step-000000070", "model.safetensors")
    last = next(link.value for link in reversed(chain.links) if link.kind == "weights")
    assert last == hashlib.sha256(place.read_bytes()).hexdigest()


def test_what_was_measured_is_in_it_to_the_last_bit_under_its_name_on_record(tmp_path):
    sink = Ledger()
    train(SPEC, data_root="", storage=str(tmp_path), sink=sink)
    chain = Chain.read(sink.files["chain.json"])
    splits = ("train/", "validation/", "test/")
    recorded = {key: value for key, value in sink.values.items() if key[0].startswith(splits)}
    assert chain.measured() == recorded
    assert ("test/top1", 70) in recorded


@pytest.mark.parametrize("stops", [(1,), (35, 36), (12, 69)], ids=str)
def test_interruptions_leave_no_trace_in_it(tmp_path, whole, stops):
    for stop in stops:
        with pytest.raises(Interrupted):
            go(tmp_path, **stop_after(stop))
    assert go(tmp_path).links == whole.links


def test_nor_does_when_checkpoints_are_written(tmp_path, whole):
    assert go(tmp_path / "every", checkpoint_every=0).links == whole.links
    assert go(tmp_path / "milestones", retention=Retention(1, Steps(9))).links == whole.links


def test_a_finished_run_that_is_measured_again_adds_nothing(tmp_path, whole):
    go(tmp_path)
    sink = Ledger()
    train(SPEC, data_root="", storage=str(tmp_path), sink=sink)
    notes = CheckpointStore(str(tmp_path), SPEC.digest).latest().notes
    assert len(notes["chain"]) == len(whole.links)


def test_what_was_done_until_a_stop_is_with_the_record(tmp_path, whole):
    sink = Ledger()
    with pytest.raises(Interrupted):
        train(SPEC, data_root="", storage=str(tmp_path), sink=sink, **stop_after(20))
    until = Chain.read(sink.files["chain.json"])
    assert until.links == whole.links[:20]
    assert parting(until, whole) is None


def flip_a_bit(model: nn.Module) -> None:
    with torch.no_grad():
        bits = next(iter(model.parameters())).view(torch.int32)
        bits[0] ^= 1


def test_one_bit_of_a_weight_changes_it_at_the_next_evaluation(tmp_path, whole, monkeypatch):
    """The lowest bit of one of the weights, after step 20: the losses round it away or not, the weights
    do not."""
    from lab.train.state import Training

    kept = []
    begin = Training.begin.__func__
    monkeypatch.setattr(
        Training, "begin", classmethod(lambda cls, *a, **k: kept.append(begin(cls, *a, **k)) or kept[-1])
    )

    def disturb(event):
        if isinstance(event, Stepped) and event.step == 20:
            flip_a_bit(kept[-1].model)

    other = go(tmp_path, on_event=disturb)
    assert other.links[:20] == whole.links[:20]
    said = parting(whole, other)
    first = next(a.step for a, b in zip(whole.links, other.links, strict=True) if a.value != b.value)
    assert 20 < first <= 35
    assert said.startswith(f"they part at step {first}: ")
    assert other.head != whole.head


def test_another_order_of_the_data_is_seen_in_the_losses(tmp_path, whole, monkeypatch):
    from tests.lab.toy import ToySource

    batches = ToySource.batches

    def swapped(self, split, *, seed, epoch, **options):
        return batches(self, split, seed=seed, epoch=epoch if epoch < 3 else epoch + 1, **options)

    monkeypatch.setattr(ToySource, "batches", swapped)
    other = go(tmp_path)
    mine, theirs = (float.fromhex(chain.links[21].value) for chain in (whole, other))
    assert parting(whole, other) == f"they part at step 22: loss {mine!r} and {theirs!r}"


def test_other_data_or_another_experiment_is_another_chain_from_the_beginning(tmp_path, whole):
    prepare_toy(tmp_path / "data", edition=1)
    other = go(tmp_path / "1", data=tmp_path / "data")
    assert other.genesis != whole.genesis
    assert "not of the same experiment" in parting(whole, other)
    assert "not of the same experiment" in parting(whole, go(tmp_path / "2", SPEC.override({"seed": 1})))


@pytest.mark.parametrize(
    ("position", "field", "value"), [(0, 0, 2), (5, 4, "0x1.0p+0"), (9, 2, 6), (40, 5, "0" * 64)]
)
def test_a_chain_that_was_tampered_with_is_broken_where_it_was(whole, position, field, value):
    held = json.loads(whole.text({}))
    held["links"][position][field] = value
    step = value if field == 0 else whole.links[position].step
    with pytest.raises(RecordError, match=f"is broken at step {step}:"):
        Chain.read(json.dumps(held))


def test_what_is_no_chain_is_said_in_one_line():
    with pytest.raises(RecordError, match=r"no chain of a run .* chain.json") as refused:
        Chain.read("{}")
    assert "\n" not in str(refused.value)


def test_it_lies_with_the_run_on_record(tmp_path):
    tracker, me = MemoryTracker(), this_process()
    run = tracker.begin(SPEC, name="toy", owner=me, tags={})
    recorder = Recorder(lambda: tracker, me)
    recorder.hold(run.run_id)
    train(SPEC, data_root="", storage=str(tmp_path), sink=recorder.sink(run.run_id))
    recorder.close()
    chain = Chain.read(tracker._files[run.run_id]["chain.json"].decode())
    assert tracker.find([SPEC.digest])[SPEC.digest].tags["chain"] == chain.head

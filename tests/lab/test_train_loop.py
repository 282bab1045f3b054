"""The loop: gradients, evaluation, order of events, divergence."""

import itertools
import math

import pytest
import torch
from torch import nn

from lab import AdamW, Classification, Epochs, Evaluation, Lamb, Sgd, StepDecay, Steps
from lab.errors import Diverged, SpecError
from lab.train.group import Group
from lab.train.loop import Evaluated, Saved, Stepped, events
from lab.train.plan import Plan
from lab.train.state import Training
from tests.lab.toy import SIZES, ToyData, ToyModel, toy_spec

CPU = torch.device("cpu")


def run(spec, save=lambda step, said: None):
    source = spec.data.open("")
    training = Training.begin(spec, CPU)
    return training, list(events(training, Plan.of(spec, source), source, Group(), save))


def test_a_run_is_a_plain_training_loop_written_out():
    """Against a loop of a few lines with torch's own SGD."""
    spec = toy_spec(
        optimizer=Sgd(lr=0.05, momentum=0.9), schedule=StepDecay((Epochs(2),), 0.1), duration=Epochs(3)
    )
    training, found = run(spec)

    torch.manual_seed(spec.seed)
    model = spec.model.build()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    losses = []
    for epoch in range(3):
        optimizer.param_groups[0]["lr"] = 0.05 if epoch < 2 else 0.005
        for batch in spec.data.open("").batches("train", batch_size=10, seed=0, epoch=epoch):
            loss = nn.functional.cross_entropy(model(batch.inputs), batch.targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    ours = [float(event.loss) for event in found if isinstance(event, Stepped)]
    assert ours == pytest.approx(losses, rel=1e-5)
    for mine, theirs in zip(training.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_clipping_bounds_the_norm_of_the_whole_gradient():
    spec = toy_spec(optimizer=Sgd(lr=1.0, momentum=0), clip=0.01, duration=Steps(1))
    before = Training.begin(spec, CPU).model
    training, _ = run(spec)
    moved = [(a - b).detach() for a, b in zip(training.model.parameters(), before.parameters(), strict=True)]
    assert math.sqrt(sum(float((part**2).sum()) for part in moved)) == pytest.approx(0.01, rel=1e-4)


def test_every_example_counts_once_in_a_metric_although_batches_are_ragged():
    spec = toy_spec(
        duration=Steps(2), evaluation=Evaluation(every=Steps(2), splits=("validation", "train"), batch_size=8)
    )
    training, found = run(spec)
    (measured,) = [event for event in found if isinstance(event, Evaluated)]
    training.model.eval()
    for split in ("validation", "train"):
        inputs, targets = spec.data.open("").splits[split]
        logits = training.model(inputs)
        assert len(targets) == SIZES[split]
        right = int((logits.argmax(1) == targets).sum())
        assert measured.metrics[f"{split}/top1"] == pytest.approx(right / len(targets), abs=1e-12)
        if split == "validation":
            expected = nn.functional.cross_entropy(logits, targets).item()
            assert measured.metrics["validation/loss"] == pytest.approx(expected, rel=1e-6)


def test_the_running_loss_keeps_its_name_when_the_training_split_is_measured():
    spec = toy_spec(evaluation=Evaluation(at_end=("train",)))
    _, found = run(spec)
    assert "train/top1" in found[-1].metrics
    assert "train/loss" not in found[-1].metrics


def test_splits_kept_for_the_end_are_measured_only_there():
    _, found = run(toy_spec())
    measured = {event.step: sorted(event.metrics) for event in found if isinstance(event, Evaluated)}
    assert sorted(measured) == [7, 14, 21]
    assert not any(name.startswith("test/") for name in measured[14])
    assert "test/top1" in measured[21]


def test_a_step_is_seen_and_measured_before_it_can_be_saved():
    _, found = run(toy_spec(duration=Epochs(1)), save=lambda step, said: {3: 3, 5: 4, 7: 7}.get(step))
    kinds = [(type(event), event.step) for event in found]
    assert kinds[2:5] == [(Stepped, 3), (Saved, 3), (Stepped, 4)]
    assert kinds[-3:] == [(Stepped, 7), (Evaluated, 7), (Saved, 7)]


@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_loss_that_is_not_a_number_ends_the_run_naming_step_and_value(clip):
    spec = toy_spec(data=ToyData(poison=True), clip=clip)
    with pytest.raises(
        Diverged, match=r"the loss is nan at step 1 \(optimizer.lr is 0.01\): lower optimizer.lr"
    ):
        run(spec)


def test_a_batch_larger_than_the_training_split_is_refused():
    with pytest.raises(SpecError, match="batch_size is 71, but toy has 70 training examples: use at most 70"):
        run(toy_spec(batch_size=71))


def test_more_workers_than_examples_in_a_batch_are_refused():
    spec = toy_spec(batch_size=2)
    source = spec.data.open("")
    training = Training.begin(spec, CPU)
    with pytest.raises(SpecError, match="--workers is 3, but a batch has only 2 examples"):
        next(events(training, Plan.of(spec, source), source, Group(0, 3)))


def test_half_precision_trains_with_full_precision_weights_to_nearly_the_same_loss():
    full, half = (run(toy_spec(precision=precision)) for precision in ("fp32", "bf16"))
    assert {weight.dtype for weight in half[0].model.parameters()} == {torch.float32}
    losses = [
        [float(event.loss) for event in found if isinstance(event, Stepped)] for _, found in (full, half)
    ]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


@pytest.mark.parametrize("optimizer", [Lamb(lr=0.02), AdamW(lr=0.01)])
def test_the_toy_is_learned(optimizer):
    _, found = run(
        toy_spec(optimizer=optimizer, duration=Epochs(30), evaluation=Evaluation(every=Epochs(30)))
    )
    assert found[-1].metrics["validation/top1"] > 0.75


def test_seeds_decide_weights_and_order():
    curves = [
        [float(event.loss) for event in run(toy_spec(seed=seed))[1] if isinstance(event, Stepped)]
        for seed in (0, 0, 1)
    ]
    assert curves[0] == curves[1]
    assert all(a != b for a, b in zip(curves[0], curves[2], strict=True))


def test_the_slices_of_ragged_workers_add_up_to_the_gradient_of_the_global_batch():
    """Ten examples over three workers: 3, 3 and 4 of them."""
    spec = toy_spec(model=ToyModel(), task=Classification(label_smoothing=0.1))
    model = Training.begin(spec, CPU).model
    source, gradients = spec.data.open(""), []
    for world in (1, 3):
        parts = []
        for rank in range(world):
            shard = Group(rank, world).shard
            batch = next(
                itertools.islice(source.batches("train", batch_size=10, seed=0, epoch=0, shard=shard), 1)
            )
            share = (spec.task.losses(model(batch.inputs), batch.targets) * batch.weights).sum() / 10 * world
            parts.append(torch.autograd.grad(share, list(model.parameters())))
        gradients.append([torch.stack(same).mean(0) for same in zip(*parts, strict=True)])
    for whole, sliced in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, sliced)

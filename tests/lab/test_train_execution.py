"""How steps are carried out changes speed and memory, not what is learned."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lab import Sgd, Steps
from lab.cli import main
from lab.errors import OutOfMemory, RunError, SpecError
from lab.execution import Execution
from lab.train.group import Group
from lab.train.loop import Stepped, events
from lab.train.micro_batch import largest_that_fits, pieces
from lab.train.plan import Plan
from lab.train.run import train
from lab.train.state import Training
from tests.lab.failing import WatchedData
from tests.lab.test_train_workers import SMOOTH as WORKERS
from tests.lab.test_train_workers import run as run_workers
from tests.lab.toy import Ledger, ToyModel, toy_spec

CPU, ROOT = torch.device("cpu"), Path(__file__).parents[2]
SMOOTH = toy_spec(optimizer=Sgd(lr=0.05), clip=1.0, duration=Steps(20))


def trained(spec, execution):
    source = spec.data.open("")
    training = Training.begin(spec, CPU)
    found = list(events(training, Plan.of(spec, source), source, Group(), execution=execution))
    losses = [float(event.loss) for event in found if isinstance(event, Stepped)]
    return losses, [weight.detach() for weight in training.model.parameters()]


@pytest.mark.parametrize("size", [1, 3, 5])
def test_accumulated_gradients_are_those_of_the_whole_batch(size):
    """Ten examples at once, or 1, 3 and 5 at a time: the same losses and weights to rounding."""
    whole, pieced = trained(SMOOTH, Execution()), trained(SMOOTH, Execution(micro_batch=size))
    assert pieced[0] == pytest.approx(whole[0], rel=1e-5)
    for a, b in zip(pieced[1], whole[1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_a_micro_batch_that_holds_the_whole_batch_changes_no_bit():
    whole, roomy = trained(SMOOTH, Execution()), trained(SMOOTH, Execution(micro_batch=10))
    assert roomy[0] == whole[0]
    assert all(torch.equal(a, b) for a, b in zip(roomy[1], whole[1], strict=True))


def test_looking_for_a_size_leaves_no_trace_in_the_run():
    """Also not in BatchNorm's running statistics, which every forward pass moves."""
    spec = toy_spec(model=ToyModel(batch_norm=True, dropout=0.3), duration=Steps(5))
    whole, found = trained(spec, Execution()), trained(spec, Execution(micro_batch="auto"))
    assert found[0] == whole[0]
    assert all(torch.equal(a, b) for a, b in zip(found[1], whole[1], strict=True))


def test_the_pieces_of_a_batch_are_its_examples_in_order():
    spec = toy_spec()
    batch = next(spec.data.open("").batches("train", batch_size=10, seed=0, epoch=0))
    parts = list(pieces(batch, 4))
    assert [len(part.ids) for part in parts] == [4, 4, 2]
    assert torch.equal(torch.cat([part.ids for part in parts]), batch.ids)
    assert torch.equal(torch.cat([part.inputs for part in parts]), batch.inputs)
    by_name = next(pieces(type(batch)({"a": batch.inputs}, batch.targets, batch.weights, batch.ids), 4))
    assert torch.equal(by_name.inputs["a"], batch.inputs[:4])


def test_the_size_is_halved_until_the_memory_is_enough():
    tried = []

    def attempt(size):
        tried.append(size)
        if size > 20:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    assert largest_that_fits(100, attempt) == 13
    assert tried == [100, 50, 25, 13]


def test_another_fault_than_want_of_memory_is_not_hidden():
    def attempt(size):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        largest_that_fits(8, attempt)


def test_a_model_too_large_for_one_example_is_said_to_be():
    def attempt(size):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(RunError, match="one example at a time does not fit the memory"):
        largest_that_fits(8, attempt)


STARVED = """
import resource, sys
from dataclasses import dataclass
import torch
from torch import nn
from lab.execution import Execution
from lab.train.group import Group
from lab.train.loop import events
from lab.train.plan import Plan
from lab.train.state import Training
from lab import Steps
from tests.lab.toy import ToyModel, toy_spec

class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.head = nn.Parameter(torch.ones(1 << 22)), nn.Linear(1, 3)
    def forward(self, inputs):  # keeps 16 MB per example and more for the backward pass
        return self.head((inputs[:, :1] * self.weight).relu().mean(1, keepdim=True))

@dataclass(frozen=True)
class WideModel(ToyModel):
    def build(self):
        return Wide()

torch.set_num_threads(1)
spec = toy_spec(model=WideModel(), batch_size=64, duration=Steps(1))
source, training = spec.data.open(""), Training.begin(spec, torch.device("cpu"))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (3 << 28), resource.RLIM_INFINITY))
size = sys.argv[1] if sys.argv[1] == "auto" else int(sys.argv[1])
for event in events(training, Plan(spec, 1), source, Group(), execution=Execution(micro_batch=size)):
    print(event.step)
    break
"""


def starved(size):
    paths = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": paths}
    return subprocess.run(  # noqa: PLW1510 (one of them fails)
        [sys.executable, "-c", STARVED, size], env=environment, cwd=ROOT, capture_output=True, text=True
    )


def test_a_batch_that_the_memory_does_not_hold_is_trained_in_pieces_that_it_does():
    """A real want of memory: 64 examples of 16 MB and more each, in 0.75 GB of address space."""
    assert "allocate memory" in starved("64").stderr
    found = starved("auto")
    assert (found.stdout, found.stderr) == ("1\n", "")


def test_two_workers_accumulate_to_the_gradient_of_one_and_speak_once_a_step(tmp_path):
    """Slices of five examples, two at a time."""
    alone = Ledger()
    train(WORKERS, data_root="", storage=str(tmp_path / "1"), sink=alone)
    together = run_workers(2, "pieces", tmp_path / "2")
    assert together == pytest.approx(alone.curve(), rel=1e-4)


def test_a_compiled_model_learns_the_same():
    plain, compiled = trained(SMOOTH, Execution()), trained(SMOOTH, Execution(compile=True))
    assert compiled[0] == pytest.approx(plain[0], rel=1e-4)


def test_the_shell_refuses_an_impossible_size_in_one_line(capsys):
    assert main(["train", "imagenet.fourier", "--micro-batch", "many"]) == 2
    assert "--micro-batch is a number of examples or auto, got 'many'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"micro_batch": 0}, "--micro-batch must be 1 or more, or auto, got 0"),
        ({"sharded": True, "micro_batch": "auto"}, "give --micro-batch a number"),
        ({"sharded": True, "compile": True}, "--sharded and --compile are not tested together: choose one"),
        ({"micro_batch": "most"}, "--micro-batch is a number of examples or auto, got 'most'"),
    ],
)
def test_impossible_sizes_are_refused(change, message):
    with pytest.raises(SpecError, match=message):
        Execution(**change)


def test_an_allocator_that_refuses_in_the_middle_of_a_run_is_one_verdict_with_the_way_out(tmp_path):
    spec = toy_spec(data=WatchedData(pause=0, starving=True))
    with pytest.raises(OutOfMemory, match=r"can't allocate memory.*: use --micro-batch auto") as told:
        train(spec, data_root=str(tmp_path), storage=str(tmp_path), sink=Ledger())
    assert "\n" not in str(told.value)

"""Several workers are one worker, cut up. Processes of torch.distributed over gloo, without Ray."""

import datetime
import json
import os
import socket
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from lab import Evaluation, Sgd, Steps, Tagging
from lab.errors import Interrupted
from lab.execution import Execution
from lab.train.checkpoint import CheckpointStore
from lab.train.group import Group
from lab.train.loop import seed_step
from lab.train.run import train
from lab.train.sharding import stacked
from tests.lab.toy import RICH, Ledger, ToyData, stop_after, toy_spec

ROOT = Path(__file__).parents[2]
SMOOTH = toy_spec(
    optimizer=Sgd(lr=0.05), clip=1.0, duration=Steps(60),
    evaluation=Evaluation(every=Steps(20), at_end=("test",), batch_size=8),
)  # fmt: skip
TAGS = toy_spec(
    task=Tagging(), data=ToyData(tags=True), optimizer=Sgd(lr=0.05), duration=Steps(20),
    evaluation=Evaluation(every=Steps(10), at_end=("test",), batch_size=8),
)  # fmt: skip
RICHER = RICH.override({"duration": Steps(60)})


def main(rank: int, world: int, port: int, experiment: str, storage: str, stops: list[int]) -> None:
    """One worker: trains, stopping and starting anew after each of `stops` steps; rank 0 prints its curve."""
    dist.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world,
        timeout=datetime.timedelta(seconds=60),
    )  # fmt: skip
    torch.set_num_threads(1)
    ledger = Ledger()
    for stop in [*stops, None]:
        options = stop_after(stop) if stop and rank == world - 1 else {}
        with pytest.raises(Interrupted) if stop else nullcontext():
            train(
                {"rich": RICHER, "tags": TAGS}.get(experiment, SMOOTH),
                data_root="", storage=storage, sink=ledger, group=Group(rank, world), **options,
                execution={
                    "pieces": Execution(micro_batch=2),
                    "sharded": Execution(sharded=True),
                    "sharded pieces": Execution(sharded=True, micro_batch=2),
                }.get(experiment, Execution()),
            )  # fmt: skip
    if rank == 0:
        print(json.dumps([[*key, value] for key, value in ledger.curve().items()]))
    dist.barrier()
    sys.stdout.flush()
    os._exit(0)  # gloo's threads now and then abort an interpreter that ends in the usual way


def run(world: int, experiment: str, storage: Path, stops=()) -> dict[tuple[str, int], float]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    paths = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
    program = (
        "import sys, json; from tests.lab.test_train_workers import main; main(*json.loads(sys.argv[1]))"
    )
    told = [port, experiment, str(storage), list(stops)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, json.dumps([rank, world, *told])],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
            stdout=subprocess.PIPE,
        )
        for rank in range(world)
    ]
    output = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * world
    return {(name, step): value for name, step, value in json.loads(output[0])}


def weights(storage: Path, spec) -> bytes:
    store = CheckpointStore(str(storage), spec.digest)
    return (Path(store.address) / f"step-{store.steps()[0]:09d}" / "model.safetensors").read_bytes()


def test_three_workers_with_ragged_slices_train_the_model_that_one_trains(tmp_path):
    """Ten examples a step, cut into 3, 3 and 4; 37 to measure, cut into 13, 12 and 12."""
    alone = Ledger()
    train(SMOOTH, data_root="", storage=str(tmp_path / "1"), sink=alone)
    together = run(3, "smooth", tmp_path / "3")
    assert together == pytest.approx(alone.curve(), rel=1e-4)
    accuracies = {key: value for key, value in together.items() if key[0].endswith("top1")}
    assert accuracies == {key: value for key, value in alone.curve().items() if key in accuracies}
    one, three = (CheckpointStore(str(tmp_path / world), SMOOTH.digest).latest().model for world in "13")
    torch.testing.assert_close(three, one, rtol=1e-4, atol=1e-6)


def test_three_workers_rank_the_examples_that_one_ranks(tmp_path):
    """Average precision needs all examples in one order, and padding in none."""
    alone = Ledger()
    train(TAGS, data_root="", storage=str(tmp_path / "1"), sink=alone)
    together = run(3, "tags", tmp_path / "3")
    assert together == pytest.approx(alone.curve(), rel=1e-4)
    assert ("test/map", 20) in together


@pytest.mark.parametrize("experiment", ["sharded", "sharded pieces"])
def test_two_workers_that_share_the_weights_out_train_the_model_that_one_trains(tmp_path, experiment):
    """Interrupted on the way; the checkpoint is whole, so that any number of workers can go on from it."""
    alone = Ledger()
    train(SMOOTH, data_root="", storage=str(tmp_path / "1"), sink=alone)
    together = run(2, experiment, tmp_path / "2", stops=[17])
    assert together == pytest.approx(alone.curve(), rel=1e-4)
    one, two = (CheckpointStore(str(tmp_path / world), SMOOTH.digest).latest() for world in "12")
    for mine, theirs in ((one.model, two.model), (one.optimizer, two.optimizer)):
        torch.testing.assert_close(theirs, mine, rtol=1e-4, atol=1e-6)


def test_the_layers_of_a_stack_are_gathered_one_at_a_time_and_shared_ones_once():
    layers = [nn.Sequential(nn.Linear(2, 2), nn.ModuleList([nn.Linear(2, 2)])) for _ in range(3)]
    model = nn.Sequential(nn.Linear(2, 2), nn.ModuleList([layers[0], layers[1], layers[1]]), layers[2])
    assert list(stacked(model)) == [layers[0], layers[1], layers[2][1][0]]


def test_two_workers_interrupted_by_either_end_with_the_same_bits(tmp_path):
    """With dropout, which differs per worker, and BatchNorm, whose statistics are rank 0's; the last rank
    asks."""
    whole = run(2, "rich", tmp_path / "whole")
    broken = run(2, "rich", tmp_path / "broken", stops=[1, 23, 35])
    assert broken == whole
    assert weights(tmp_path / "whole", RICHER) == weights(tmp_path / "broken", RICHER)


def test_dropout_differs_between_workers():
    masks = []
    for rank in (0, 1):
        seed_step(0, 5, Group(rank, 2))
        masks.append(torch.nn.functional.dropout(torch.ones(100)))
    assert not torch.equal(*masks)

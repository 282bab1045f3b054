"""Killed at any moment, the run ends with the bits, the curve and the chain of one that was not.

Real processes, ended by SIGKILL: at random times, between the pieces of a batch, and while a checkpoint is
being written. Each says in a shared page of memory where it is, so that the moment can be chosen, and is
known afterwards.
"""

import json
import mmap
import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from lab import AdamW, Evaluation, Steps
from lab.execution import Execution
from lab.storage.disk import PARTIAL
from lab.train import keeper
from lab.train.checkpoint import CheckpointStore
from lab.train.group import Group
from lab.train.run import train
from tests.lab.toy import FileLedger, ToyModel, ToyNetwork, toy_spec

ROOT = Path(__file__).parents[2]
PIECES = Execution(micro_batch=2)
STEPS, BATCH = 400, 12


@dataclass(frozen=True)
class Watched(ToyModel):
    """Says in the file that LAB_WHERE names how many pieces it has seen, and takes its time for each. Its
    weights take long enough to write that this can be interrupted."""

    def build(self) -> nn.Module:
        return WatchedNetwork(self)


class WatchedNetwork(ToyNetwork):
    def __init__(self, config: ToyModel) -> None:
        super().__init__(config)
        self.ballast = nn.Parameter(torch.randn(100_000))
        self.where = os.environ.get("LAB_WHERE")
        if self.where:
            with Path(self.where).open("r+b") as file:
                self.page = mmap.mmap(file.fileno(), 8)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.where and self.training:
            self.page[:8] = (int.from_bytes(self.page[:8], "little") + 1).to_bytes(8, "little")
            time.sleep(0.002)
        return super().forward(inputs) + self.ballast.mean()


SPEC = toy_spec(
    model=Watched(dropout=0.3, batch_norm=True), optimizer=AdamW(lr=0.01), duration=Steps(STEPS),
    batch_size=BATCH,
    evaluation=Evaluation(every=Steps(35), at_end=("test",)),
)  # fmt: skip


def main(rank: int, world: int, port: int, storage: str, ledger: str) -> None:
    """One worker."""
    torch.set_num_threads(1)
    keeper.SHARE = 1 / 4  # many kills are to meet a write
    if world > 1:
        dist.init_process_group(
            "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world
        )  # fmt: skip
    train(
        SPEC, data_root="", storage=storage, sink=FileLedger(ledger), group=Group(rank, world),
        checkpoint_every=0.02, execution=PIECES,
    )  # fmt: skip
    os._exit(0)  # gloo's threads now and then abort an interpreter that ends in the usual way


class Workers:
    """A run in processes of its own."""

    def __init__(self, world: int, folder: Path) -> None:
        self.storage, self.where = folder / "checkpoints", folder / "where"
        self.folder = Path(CheckpointStore(str(self.storage), SPEC.digest).address)
        folder.mkdir(exist_ok=True)
        self.where.write_bytes(bytes(8))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        paths = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
        told = [world, port, str(self.storage), str(folder / "ledger.json")]
        program = (
            "import sys, json; from tests.lab.test_train_killed import main; main(*json.loads(sys.argv[1]))"
        )
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-c", program, json.dumps([rank, *told])],
                env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
                | ({"LAB_WHERE": str(self.where)} if rank == 0 else {}),
                stderr=(folder / f"errors-{rank}").open("w"),
            )
            for rank in range(world)
        ]  # fmt: skip

    def piece(self) -> int:
        """How many pieces of batches the leading worker has begun."""
        return int.from_bytes(self.where.read_bytes(), "little")

    def writing(self) -> bool:
        return any(self.folder.glob(f"{PARTIAL}*")) if self.folder.exists() else False

    def wait_for(self, true) -> None:
        while not true() and self.processes[0].poll() is None:
            time.sleep(0.0005)

    def kill(self, first: int) -> None:
        """One worker, and then the others, who could only wait for it."""
        order = [self.processes[first], *self.processes]
        for process in order:
            process.send_signal(signal.SIGKILL)
        for process in order:
            process.wait()

    def end(self) -> None:
        assert [process.wait() for process in self.processes] == [0] * len(self.processes)


def outcome(folder: Path) -> tuple[dict, dict, list]:
    """The bits of the last checkpoint, the curve, the chain."""
    store = CheckpointStore(str(folder / "checkpoints"), SPEC.digest)
    last = store.latest()
    assert last.step == STEPS
    place = Path(store.address, f"step-{STEPS:09d}")
    bits = {name: (place / name).read_bytes() for name in ("model.safetensors", "optimizer.safetensors")}
    return bits, FileLedger(str(folder / "ledger.json")).curve(), last.notes["chain"]


@dataclass
class Kill:
    """A kill as it came about: the newest checkpoint it left, and what it broke off."""

    reached: int
    within_a_batch: bool
    while_writing: bool


def killed(world: int, folder: Path, moments: list[str], seed: int) -> list[Kill]:
    """Start, kill at each of the moments, start again, and let it end."""
    rng, kills = random.Random(seed), []
    pieces_per_step = BATCH // world // 2
    for moment in moments:
        workers = Workers(world, folder)
        # Some steps first, so that it moves on; but it must not reach its end.
        begun = rng.randrange(5, STEPS // len(moments) // 2) * pieces_per_step
        workers.wait_for(lambda workers=workers, begun=begun: workers.piece() >= begun)
        if moment == "within a batch":
            workers.wait_for(lambda workers=workers: workers.piece() % pieces_per_step == 2)
        elif moment == "while writing":
            workers.wait_for(lambda workers=workers: not workers.writing())
            workers.wait_for(workers.writing)
        else:
            time.sleep(rng.random() * 0.05)
        workers.kill(rng.randrange(world))
        reached = (CheckpointStore(str(folder / "checkpoints"), SPEC.digest).steps() or [0])[0]
        kills.append(Kill(reached, workers.piece() % pieces_per_step > 0, workers.writing()))
    Workers(world, folder).end()
    return kills


MOMENTS = ["any time", "within a batch", "while writing"]


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def world(request) -> int:
    return request.param


def test_killed_while_it_writes_a_checkpoint_it_ends_as_if_it_had_not_been(tmp_path):
    """The short form: one worker, one kill."""
    Workers(1, tmp_path / "whole").end()
    killed(1, tmp_path / "killed", ["while writing"], seed=0)
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")


@pytest.mark.slow
def test_killed_at_ten_moments_it_ends_as_if_it_had_not_been(tmp_path, world):
    """With accumulation, dropout, BatchNorm and a write about every step."""
    Workers(world, tmp_path / "whole").end()
    moments = [*MOMENTS * 3, "any time"]
    random.Random(world).shuffle(moments)
    kills = killed(world, tmp_path / "killed", moments, seed=world)
    assert all(kill.reached < STEPS for kill in kills)
    assert any(kill.within_a_batch for kill in kills)
    assert any(kill.while_writing for kill in kills)
    print(kills)
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")

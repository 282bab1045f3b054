"""What the training loop costs above a bare one, as `torchrun` would run it, on the same steps.

    python -m benchmarks.overhead [--workers 2] [--steps 300] [--own-loss]

Both loops are in the same processes, with the same optimizer, and take turns step by step, so that what else
the machine does meets both. The whole of `lab.train.run.train` is measured: events, journal, pace, the chain
of hashes, checkpoints. Both read the loss over all workers after each step. The record is written by another
process, as it always is. Clock: the median of the
steps. Thread: processor seconds from the first step to the last of the thread that trains, what it stops for
checkpoints included. Process: with what writes them beside the steps, which a bare loop leaves undone.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from benchmarks.measure import machine
from lab import AdamW, Batch, Constant, Epochs, Evaluation, ExperimentSpec, Shard, Steps
from lab.optim.build import build
from lab.tracking.tracker import Scalar
from lab.train.group import Group
from lab.train.loop import Event, Stepped
from lab.train.run import train

ALONE = Shard()
EXAMPLES = 160
"""times one more than there are workers, which exchange gradients too: some 50 ms a step"""
WARM_UP = 10
"""steps that are not counted"""


@dataclass(frozen=True)
class Layers:
    """A network of 2.5 million weights, 10 MB of gradients to exchange."""

    width: int = 640
    depth: int = 6

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.width,)

    @property
    def num_outputs(self) -> int:
        return 10

    def build(self) -> nn.Module:
        layers = [
            layer for _ in range(self.depth) for layer in (nn.Linear(self.width, self.width), nn.GELU())
        ]
        return nn.Sequential(*layers, nn.Linear(self.width, self.num_outputs))

    def parameters(self) -> int:
        return sum(weight.numel() for weight in self.build().parameters())

    def flops(self) -> int:
        return 2 * self.width * (self.depth * self.width + self.num_outputs)


@dataclass(frozen=True)
class Noise:
    """The same batch again and again: what loading costs is measured elsewhere (`benchmarks.data`)."""

    width: int = 640
    steps: int = 300
    examples: int = 320

    name = "noise"
    num_classes = 10
    multi_label = False
    fingerprint = "noise"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.width,)

    def open(self, root: str) -> Noise:
        return self

    def size(self, split: str) -> int:
        return self.steps * self.examples if split == "train" else self.examples

    @cached_property
    def batch(self) -> Batch:
        inputs = torch.randn(self.examples, self.width, generator=torch.Generator().manual_seed(0))
        ids = torch.arange(self.examples)
        return Batch(inputs, ids % self.num_classes, torch.ones(self.examples), ids)

    def batches(
        self, split: str, *, batch_size: int, seed: int, epoch: int, start: int = 0, shard: Shard = ALONE
    ) -> Iterator[Batch]:
        part = slice(shard.rank, batch_size, shard.world)
        mine = Batch(
            self.batch.inputs[part], self.batch.targets[part], self.batch.weights[part], self.batch.ids[part]
        )
        yield from (mine for _ in range(start, self.steps))

    def scan(self, split: str, *, batch_size: int, shard: Shard = ALONE) -> Iterator[Batch]:
        yield from self.batches(
            split, batch_size=self.examples, seed=0, epoch=0, start=self.steps - 1, shard=shard
        )


class Elsewhere:
    """A record that another process writes: what is sent there is its work."""

    def log(self, scalars: Sequence[Scalar]) -> None: ...

    def flush(self) -> None: ...

    def keep(self, file: str, text: str, tags: Mapping[str, str]) -> None: ...


class Turns:
    """Called after each step of the loop under test: takes a bare one, and times both."""

    def __init__(self, spec: ExperimentSpec, group: Group, *, sums: bool) -> None:
        """sums: whether the bare loop's loss, too, is that of all workers"""
        self.sums = sums and group.world > 1
        torch.manual_seed(spec.seed)
        self.model = group.wrap(spec.model.build())
        self.optimizer = build(spec.optimizer, self.model)
        self.batches = spec.data.open("").batches(
            "train", batch_size=spec.batch_size, seed=0, epoch=0, shard=group.shard
        )
        self.bare, self.ours = list[float](), list[float]()
        self.bare_thread = self.bare_process = 0.0
        self.since = self.thread = self.process = 0.0

    def __call__(self, event: Event) -> None:
        if not isinstance(event, Stepped):
            return
        if event.step > WARM_UP:
            self.ours.append(time.perf_counter() - self.since)
        else:
            self.thread, self.process = time.thread_time(), time.process_time()
            self.bare_thread = self.bare_process = 0.0
        begun, thread, process = time.perf_counter(), time.thread_time(), time.process_time()
        batch = next(self.batches)
        self.optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(self.model(batch.inputs), batch.targets)
        torch.autograd.backward(loss)
        self.optimizer.step()
        told = loss.detach()
        if self.sums:
            dist.all_reduce(told)
        float(told)
        self.since = time.perf_counter()
        self.bare_thread += time.thread_time() - thread
        self.bare_process += time.process_time() - process
        if event.step > WARM_UP:
            self.bare.append(self.since - begun)
        if event.step == event.total:
            self.thread = time.thread_time() - self.thread - self.bare_thread
            self.process = time.process_time() - self.process - self.bare_process


def work(rank: int, world: int, port: int, steps: int, sums: int, folder: str) -> None:
    """One process of both loops; rank 0 prints what it saw."""
    torch.set_num_threads(1)
    if world > 1:
        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    data = Noise(steps=steps, examples=EXAMPLES * (world + 1))
    spec = ExperimentSpec(
        model=Layers(), data=data, optimizer=AdamW(lr=1e-4), schedule=Constant(), duration=Steps(steps),
        batch_size=data.examples, evaluation=Evaluation(every=Epochs(1)),
    )  # fmt: skip
    group, turns = Group(rank, world), Turns(spec, Group(rank, world), sums=bool(sums))
    train(spec, data_root="", storage=folder, sink=Elsewhere(), group=group, on_event=turns)
    if group.leads:
        bare, ours = statistics.median(turns.bare), statistics.median(turns.ours)
        print(
            f"| {world} | {1e3 * bare:.1f} | {1e3 * ours:.1f} | {100 * (ours / bare - 1):+.1f} % | "
            f"{100 * (turns.thread / turns.bare_thread - 1):+.1f} % | "
            f"{100 * (turns.process / turns.bare_process - 1):+.1f} % |"
        )
    sys.stdout.flush()
    os._exit(0)  # gloo's threads now and then keep a process that has ended from going


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument(
        "--own-loss", action="store_true", help="the bare loop reads its own worker's loss only"
    )
    arguments = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.set_num_threads(1)
    print(f"{machine('cpu')}, one thread per worker\n")
    print(
        "| workers | bare step, ms | ours, ms | clock | thread | process |\n|---|---|---|---|---|---|",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        call = "import sys; from benchmarks.overhead import work; work(*map(int, sys.argv[1:6]), sys.argv[6])"
        numbers = [
            str(arguments.workers),
            str(port),
            str(arguments.steps),
            str(int(not arguments.own_loss)),
            folder,
        ]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", call, str(rank), *numbers], env=environment, cwd=Path.cwd()
            )
            for rank in range(arguments.workers)
        ]
        sys.exit(max(process.wait() for process in processes))


if __name__ == "__main__":
    main()

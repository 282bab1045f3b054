"""How long training stands still for a checkpoint: written in the step, and copied in it and written beside.

A model of about 45 million weights with LAMB's two moments, 540 MB in all. Each way is measured in turn, so
that a busy machine is busy for both:

    python -m benchmarks.checkpoint [FOLDER or URI] [--rounds 5]

`in the step` is serialising, hashing and writing before the next step begins; `beside it` is what the step
still pays for (the copy), then how long the writing takes, and what steps take while it goes on. Last, what
one link of the chain costs at an evaluation: the sha256 of the weights.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Sequence
from time import perf_counter, sleep

import torch
from torch import nn

from lab.optim.build import build
from lab.optim.config import Lamb
from lab.tracking.tracker import Scalar
from lab.train.checkpoint import CheckpointStore
from lab.train.host import HostCopies
from lab.train.state import Training
from lab.train.writer import Writer

WIDTH, LAYERS = 1024, 43


class Silent:
    """A record that keeps nothing."""

    def log(self, scalars: Sequence[Scalar]) -> None: ...

    def flush(self) -> None: ...

    def keep(self, file: str, text: str, tags: object) -> None: ...


def trained() -> Training:
    """45 million weights after one step of LAMB."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS))).to(device)
    training = Training(model, build(Lamb(lr=0.001), model))
    step(training)
    return training


def step(training: Training) -> None:
    """A step of training on few examples."""
    device = next(training.model.parameters()).device
    training.model(torch.randn(4, WIDTH, device=device)).square().mean().backward()
    training.optimizer.step()
    training.optimizer.zero_grad()
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds(call: Callable[[], object]) -> float:
    begun = perf_counter()
    call()
    return perf_counter() - begun


def in_the_step(training: Training, store: CheckpointStore) -> float:
    return seconds(lambda: store.save(training.capture({})))


def beside(training: Training, writer: Writer, host: HostCopies) -> tuple[float, float, float]:
    """Seconds that the step stands, that the writing takes, and that a step takes meanwhile."""
    stood = seconds(lambda: writer.begin(training.capture({}, host)))
    steps = []
    while not writer.idle:
        steps.append(seconds(lambda: step(training)))
    writer.collect(wait=True)
    return stood, writer.seconds, statistics.median(steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("storage", nargs="?", default=None)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    training, host = trained(), HostCopies()
    weights = sum(parameter.numel() for parameter in training.model.parameters())
    with tempfile.TemporaryDirectory() as folder:
        store = CheckpointStore(options.storage or folder, "benchmark")
        writer = Writer(store, Silent())
        beside(training, writer, host)  # gets the memory for the copies
        rows = []
        for _ in range(options.rounds):
            before = in_the_step(training, store)
            alone = statistics.median(seconds(lambda: step(training)) for _ in range(5))
            rows.append((before, *beside(training, writer, host), alone))
            sleep(0.1)
        writer.close()
    before, stood, wrote, meanwhile, alone = (statistics.median(column) for column in zip(*rows, strict=True))
    size = f"{weights / 1e6:.1f} million weights, {3 * 4 * weights / 1e6:.0f} MB"
    print(f"{size}, medians of {options.rounds} rounds")
    print(f"in the step     {before * 1e3:8.0f} ms")
    print(f"beside it       {stood * 1e3:8.0f} ms, {before / stood:.1f} times less")
    print(f"  its writing   {wrote * 1e3:8.0f} ms")
    print(f"  steps then    {meanwhile * 1e3:8.0f} ms, else {alone * 1e3:.0f} ms")
    print(f"sha256 weights  {seconds(training.weights_sha256) * 1e3:8.0f} ms")


if __name__ == "__main__":
    main()

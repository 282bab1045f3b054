"""The Perceiver beside its peers, in one run: speed as ratios, peak memory, error against float64.

    python benchmarks/perceiver.py                                  the ImageNet cross-attend
    python benchmarks/perceiver.py --shape imagenet --repetitions 3
    python benchmarks/perceiver.py --shape modelnet40 audioset-raw-video
    python benchmarks/perceiver.py --device cuda --precision bf16 --batch 64 --shape imagenet

Needs torch and einops, on GPUs triton. Peers are measured where they are installed, or in the folder that

    pip install --no-deps --target peers perceiver-pytorch \\
        perceiver-io fairscale pytorch-lightning lightning-utilities torchmetrics

made and `--peers peers` names. Every implementation has its own process; their repetitions alternate, so that
a noisy machine is noisy for all. Backward goes to all weights. Peak memory is that of a second call in a new
process, above what it holds before: the weights and the batch. The error is to the same weights in float64 by
the same implementation, ours by the plain formula. The last column is the rate of the matrix products that an
implementation makes (those inside our fused operators are not counted), over that of large square ones.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.implementations import IMPLEMENTATIONS, PLAIN, Unsupported
from benchmarks.measure import (
    AUTOCAST,
    PASSES,
    RETURNS_MEMORY,
    error,
    head,
    machine,
    matrix_product_rate,
    peak_bytes,
    row,
    seconds,
)
from perceiver import Fourier, Image, PerceiverConfig, variants

SMALL = replace(
    variants.imagenet(cross_attends=1),
    inputs=Image(16, 16, positions=Fourier(8, 16)),
    num_latents=16,
    latent_channels=64,
    blocks=1,
    self_attends_per_block=1,
)
SHAPES = {
    "imagenet-cross-attend": variants.imagenet(cross_attends=1),
    "imagenet": variants.imagenet(),
    "modelnet40": variants.modelnet40(),
    "audioset-raw-video": variants.audioset_raw_video(video_dropout=0.0),
    "imagenet-12-cross-attends": variants.no_latent_transformer(12),
    "small": SMALL,
}


class Workload:
    """An implementation's network of one shape and a batch for it, in this process."""

    def __init__(self, options: argparse.Namespace, name: str, shape: str) -> None:
        implementation, config = IMPLEMENTATIONS[name], SHAPES[shape]
        kind = "cross_attend" if options.shape[0].endswith("cross-attend") else "model"
        torch.manual_seed(0)
        self.autocast, self.device = AUTOCAST[options.precision], options.device
        network: nn.Module = getattr(implementation, kind)(config)
        batch = random_batch(config, options.batch)
        if kind in implementation.of_elements:
            with torch.no_grad():
                batch = config.inputs.build()(batch)
        latents = torch.randn(options.batch, config.num_latents, config.latent_channels)
        self.arguments = to(([latents] if kind == "cross_attend" else []) + [batch], device=self.device)
        self.network = network.to(self.device)

    def run(self, which: str) -> list[Tensor]:
        """The result, and the gradients of the weights if asked for."""
        backward, autocast = which == "forward+backward", self.autocast
        with (
            torch.set_grad_enabled(backward),
            torch.autocast(self.device, autocast) if autocast else nullcontext(),
        ):
            result = self.network(*self.arguments)
        if not backward:
            return [result]
        weights = [weight for weight in self.network.parameters() if weight.requires_grad]
        gradients = torch.autograd.grad(result.square().sum(), weights, allow_unused=True)
        return [result, *(g for g in gradients if g is not None)]

    def error(self, which: str) -> float:
        """To the same in float64."""
        given, single = self.run(which), (self.network, self.arguments, self.autocast)
        self.network, self.autocast = copy.deepcopy(self.network).double(), None
        if hasattr(self.network, "inputs"):
            # The elements that float32 makes of the raw batch, as the peers are given them.
            self.network.inputs.float()
            self.network.attention_path = self.network.path = "plain"
            self.arguments = [*to(self.arguments[:-1], dtype=torch.float64), self.arguments[-1]]
        else:
            self.arguments = to(self.arguments, dtype=torch.float64)
        exact = self.run(which)
        self.network, self.arguments, self.autocast = single
        return error(given, exact)

    def operations(self, which: str) -> int:
        """Of the matrix products that PyTorch is asked for."""
        # The counter refuses to count where gradients are disabled.
        with FlopCounterMode(display=False) as counter:
            self.run(which) if which == "forward+backward" else self.network(*self.arguments)
        return counter.get_total_flops()


def random_batch(config: PerceiverConfig, batch: int) -> Any:
    """Raw inputs, by modality in a fusion."""
    shape = config.input_shape
    if isinstance(shape, tuple):
        return torch.randn(batch, *shape)
    return {name: torch.randn(batch, *size) for name, size in shape.items()}


def to(batch: Any, **where: Any) -> Any:
    """Tensors, lists and mappings of them, elsewhere or in another precision."""
    match batch:
        case Tensor():
            return batch.to(**where)
        case dict():
            return {name: to(part, **where) for name, part in batch.items()}
        case _:
            return [to(part, **where) for part in batch]


def work(options: argparse.Namespace) -> None:
    """Answer questions about one implementation, a line of JSON each, until there are no more."""
    torch.set_num_threads(options.threads)
    try:
        workload = Workload(options, options.work, options.shape[0])
    except Unsupported as reason:
        print(json.dumps({"unsupported": str(reason)}), flush=True)
        return
    print(json.dumps({}), flush=True)
    answers: dict[str, Callable[[str], Any]] = {
        "seconds": lambda which: seconds(lambda: workload.run(which), options.device),
        "peak": lambda which: peak_bytes(lambda: workload.run(which), options.device),
        "error": workload.error,
        "operations": workload.operations,
    }
    for line in sys.stdin:
        question, which = line.split()
        print(json.dumps(answers[question](which)), flush=True)


class Ended(Exception):
    """A worker is gone, most likely for want of memory."""


class Worker:
    """A process that measures one implementation."""

    def __init__(self, options: argparse.Namespace, name: str, shape: str, *, for_memory: bool) -> None:
        command = [sys.executable, __file__, "--work", name, "--shape", shape]
        for option in ("device", "precision", "batch", "threads", "peers"):
            command += [f"--{option}", str(getattr(options, option))]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | (RETURNS_MEMORY if for_memory else {}),
        )
        self.unsupported = self.answer().get("unsupported")

    def answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise Ended(f"it ended with exit status {self.process.wait()} (-9: most likely out of memory)")
        return json.loads(line)

    def ask(self, question: str, which: str) -> Any:
        """A number, or None where it cannot be told. Raises Ended."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{question} {which}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Ended(f"it ended with exit status {self.process.wait()}") from None
        return self.answer()

    def end(self) -> None:
        self.process.communicate()


def report(options: argparse.Namespace, shape: str) -> None:
    """A shape's tables."""
    rate = matrix_product_rate(options.device, options.precision)
    config = SHAPES[shape]
    size = f"{config.inputs.elements:,} elements of {config.inputs.element_channels} channels"
    print(f"# {shape}: batch {options.batch}, {size}, {config.num_latents} latents, {options.precision}\n")
    print(
        f"{machine(options.device)}; torch {torch.__version__}; load {os.getloadavg()[0]:.1f} at the start; "
        f"{options.repetitions} repetitions; matrix products at {rate / 1e9:,.0f} GFLOP/s\n"
    )
    names = [name for name in IMPLEMENTATIONS if not options.only or name in options.only]
    workers = {name: Worker(options, name, shape, for_memory=False) for name in names}
    for name in [name for name in names if workers[name].unsupported]:
        print(f"Without {name}: {workers.pop(name).unsupported}.\n")
    for which in PASSES:
        print(f"## {which}\n\n{head('of the machine')}")
        measure(options, workers, shape, which, rate)
        print(flush=True)
    for worker in workers.values():
        worker.end()


def measure(
    options: argparse.Namespace, workers: dict[str, Worker], shape: str, which: str, rate: float
) -> None:
    """Print a row per implementation; one that ends on the way is said to have, and left out from then on."""

    def ask(question: str) -> dict[str, Any]:
        answers = {}
        for name, worker in list(workers.items()):
            try:
                answers[name] = worker.ask(question, which)
            except Ended as end:
                del workers[name]
                print(f"| {name} | {end} |")
        return answers

    errors = ask("error") if which in options.errors else {}
    operations = ask("operations")
    times = [ask("seconds") for _ in range(options.repetitions)]
    peaks = {}
    for name in workers:
        fresh = Worker(options, name, shape, for_memory=True)
        peaks[name] = fresh.ask("peak", which)
        fresh.end()
    own = {name: [repetition[name] for repetition in times] for name in workers}
    for name, seconds_of in own.items():
        achieved = f"{operations[name] / statistics.median(seconds_of) / rate:.2f}"
        plain = (own.get(PLAIN, seconds_of), peaks.get(PLAIN))
        print(row(name, seconds_of, plain[0], errors.get(name), peaks[name], plain[1], achieved))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, nargs="+", default=["imagenet-cross-attend"])
    parser.add_argument("--only", choices=IMPLEMENTATIONS, nargs="+", metavar="IMPLEMENTATION")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=AUTOCAST, default="fp32")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repetitions", type=int, default=11)
    parser.add_argument(
        "--errors", choices=PASSES, nargs="*", default=PASSES, help="the passes to tell them of"
    )
    parser.add_argument("--peers", type=Path, default=Path("peers"), help="folder with the peers' packages")
    parser.add_argument("--work", choices=IMPLEMENTATIONS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.repetitions < 2:
        parser.error(f"--repetitions must be 2 or more, to have a spread; got {options.repetitions}")
    sys.path.append(str(options.peers.resolve()))
    torch.set_num_threads(options.threads)
    if options.work:
        work(options)
        return
    for shape in options.shape:
        report(options, shape)


if __name__ == "__main__":
    main()

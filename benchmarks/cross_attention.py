"""One cross-attend, four ways, in one run: speed as ratios, peak memory, and error against float64.

    python benchmarks/cross_attention.py                       the ImageNet cross-attend, batch 1, float32
    python benchmarks/cross_attention.py --shape modelnet40
    python benchmarks/cross_attention.py --precision bf16      under autocast
    python benchmarks/cross_attention.py --device cuda         Triton kernels for the grid

Timed is the way from queries (b, n, c) to attended values (b, n, c): the elements' norm, the key and value
projections (or what replaces them) and the attention; backward to the queries and every weight. The plain
formula and the fused attention are given the elements with their position features; the factorised path is
given the pixels. Repetitions of all ways alternate, so that a noisy machine is noisy for all. Peak memory is
that of a second call in a fresh process, above what it holds before. Needs torch and einops, on GPUs triton.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import (
    AUTOCAST,
    PASSES,
    RETURNS_MEMORY,
    error,
    head,
    machine,
    peak_bytes,
    row,
    seconds,
)
from perceiver import Fourier
from perceiver.kernels import (
    GridInputs,
    GridPositions,
    Projections,
    grid_positions,
    normalise,
    plain_attention,
    prepare,
)
from perceiver.positions import axis_features, fourier_features, grid_features


@dataclass(frozen=True)
class Shape:
    """Latents, the grid of the elements (or their number, for points), data channels and Fourier bands."""

    latents: int
    axes: tuple[int, ...]
    data_channels: int
    fourier: Fourier
    on_grid: bool = True


SHAPES = {
    "imagenet": Shape(512, (224, 224), 3, Fourier(64, 224)),
    "audioset-video": Shape(512, (16, 28, 28), 384, Fourier(16, (16, 28, 28))),
    "modelnet40": Shape(512, (2048,), 0, Fourier(64, 2240), on_grid=False),
    "small": Shape(64, (32, 32), 3, Fourier(16, 32)),
}
WEIGHTS = [field.name for field in fields(Projections) if field.name not in {"heads", "eps"}]


@dataclass(eq=False)
class Case:
    """The tensors of one cross-attend."""

    query: Tensor
    data: Tensor
    elements: Tensor
    positions: GridPositions | None
    projections: Projections

    def to(self, **where: object) -> Case:
        def moved(tensor: Tensor) -> Tensor:
            return tensor.detach().to(**where)  # type: ignore[call-overload, no-any-return]

        weights = {name: moved(getattr(self.projections, name)) for name in WEIGHTS}
        positions = self.positions and GridPositions(*map(moved, self.positions))
        return Case(
            moved(self.query),
            moved(self.data),
            moved(self.elements),
            positions,
            replace(self.projections, **weights),
        )

    @property
    def trained(self) -> list[Tensor]:
        return [self.query, *(getattr(self.projections, name) for name in WEIGHTS)]


def draw(shape: Shape, batch: int) -> Case:
    """Tensors of a trained model's magnitudes: logits of standard deviation about three."""
    generator = torch.Generator().manual_seed(0)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator)

    if shape.on_grid:
        features = grid_features(shape.axes, shape.fourier).expand(batch, -1, -1)
        positions = grid_positions(*axis_features(shape.axes, shape.fourier))
    else:
        features = fourier_features(
            2 * torch.rand(batch, *shape.axes, 3, generator=generator) - 1, shape.fourier
        )
        positions = None
    data = normal(batch, features.shape[1], shape.data_channels)
    elements = torch.cat([data, features], dim=-1)
    c = elements.shape[-1]
    projections = Projections(
        norm_scale=1 + 0.1 * normal(c),
        norm_offset=0.1 * normal(c),
        key_weight=normal(c, c) * c**-0.5,
        key_bias=0.1 * normal(c),
        value_weight=normal(c, c) * c**-0.5,
        value_bias=0.1 * normal(c),
    )
    return Case(3 * normal(batch, shape.latents, c), data, elements, positions, projections)


def plain(case: Case) -> Tensor:
    return plain_attention(case.query, case.elements, case.projections)


def fused(case: Case) -> Tensor:
    p = case.projections
    z = F.layer_norm(case.elements, case.elements.shape[-1:], p.norm_scale, p.norm_offset, p.eps)
    key, value = F.linear(z, p.key_weight, p.key_bias), F.linear(z, p.value_weight, p.value_bias)
    query = case.query.to(key.dtype)
    return F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])[:, 0]


def absorbed(case: Case) -> Tensor:
    p = case.projections
    return p.unfold_context(normalise(case.elements).attend(p.fold_query(case.query)))


def factorised(case: Case) -> Tensor:
    assert case.positions is not None
    p = case.projections
    return p.unfold_context(GridInputs(prepare(case.data, case.positions)).attend(p.fold_query(case.query)))


PATHS: dict[str, Callable[[Case], Tensor]] = {
    "plain": plain,
    "scaled_dot_product_attention": fused,
    "absorbed": absorbed,
    "factorised": factorised,
}


def run(case: Case, path: str, which: str, autocast: torch.dtype | None) -> list[Tensor]:
    """The result, and the gradients of queries and weights if asked for."""
    backward = which == "forward+backward"
    for tensor in case.trained:
        tensor.requires_grad_(backward)
    device = case.query.device.type
    with torch.set_grad_enabled(backward), torch.autocast(device, autocast) if autocast else nullcontext():
        result = PATHS[path](case)
    if not backward:
        return [result]
    return [result, *torch.autograd.grad(result, case.trained, torch.ones_like(result))]


def report(options: argparse.Namespace) -> None:
    shape = SHAPES[options.shape]
    reference = draw(shape, options.batch)
    b, m, c = reference.elements.shape
    size = f"{b} x {m:,} elements of {c} channels, {shape.latents} latents"
    print(f"# {options.shape}: {size}, {options.precision}\n")
    load = f"load {os.getloadavg()[0]:.1f} at the start"
    print(
        f"{machine(options.device)}; torch {torch.__version__}; {load}; {options.repetitions} repetitions\n"
    )
    for which in PASSES:
        print(f"## {which}\n")
        print(head())
        measure(options, reference, which)
        print()


def measure(options: argparse.Namespace, reference: Case, which: str) -> None:
    """Print a row per path."""
    case, autocast = reference.to(device=options.device), AUTOCAST[options.precision]
    paths = [path for path in PATHS if path != "factorised" or case.positions is not None]
    exact = run(reference.to(dtype=torch.float64), "plain", which, None)
    errors = {path: error(run(case, path, which, autocast), exact) for path in paths}
    del exact
    times: dict[str, list[float]] = {path: [] for path in paths}
    for _ in range(options.repetitions):
        for path in paths:
            call = partial(run, case, path, which, autocast)
            times[path].append(seconds(call, options.device))
    peaks = {path: in_fresh_process(options, path, which) for path in paths}
    for path in paths:
        print(row(path, times[path], times["plain"], errors[path], peaks[path], peaks["plain"]))


def in_fresh_process(options: argparse.Namespace, path: str, which: str) -> int | None:
    arguments = [sys.executable, __file__, "--shape", options.shape, "--batch", str(options.batch)]
    arguments += ["--device", options.device, "--precision", options.precision, "--peak", path, which]
    environment = os.environ | RETURNS_MEMORY
    answer = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True).stdout
    peak: int | None = json.loads(answer.splitlines()[-1])
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, default="imagenet")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--repetitions", type=int, default=11)
    parser.add_argument("--peak", nargs=2, metavar=("PATH", "PASS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        case = draw(SHAPES[options.shape], options.batch).to(device=options.device)
        path, which = options.peak
        call = partial(run, case, path, which, AUTOCAST[options.precision])
        print(json.dumps(peak_bytes(call, options.device)))
        return
    report(options)


if __name__ == "__main__":
    main()

"""What all benchmarks measure with: seconds, peak memory, error against float64, and the machine itself."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

AUTOCAST = {"fp32": None, "bf16": torch.bfloat16}
PASSES = ("forward", "forward+backward")
RETURNS_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""Environment in which glibc gives memory back at once: what a call takes is seen when it is called again."""

COLUMNS = (
    "median ms",
    "fastest ms",
    "quartiles ms",
    "times as fast, medians",
    "times as fast, fastest",
    "error",
    "peak MB",
    "of plain",
)


def seconds(call: Callable[[], object], device: str, *, at_least: float = 0.3) -> float:
    """How long a call takes, the GPU's part included: the mean of as many as fill that time."""
    calls, start, passed = 0, time.perf_counter(), 0.0
    while passed < at_least:
        call()
        calls += 1
        if device == "cuda":
            torch.cuda.synchronize()
        passed = time.perf_counter() - start
    return passed / calls


def error(given: list[Tensor], exact: list[Tensor]) -> float:
    """The largest relative error, in the Euclidean norm, over tensors that are not zero."""
    pairs = [(a.detach().double().cpu(), b.detach().cpu()) for a, b in zip(given, exact, strict=True)]
    return max(float((a - b).norm() / b.norm()) for a, b in pairs if b.norm() > 1e-9 * b.numel() ** 0.5)


def peak_bytes(call: Callable[[], object], device: str) -> int | None:
    """Memory that a call holds at most, above what is held before; None where it cannot be told.

    It is called once before, for what is loaded and kept from then on.
    """
    call()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return torch.cuda.max_memory_allocated() - before
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        return None

    def kilobytes(name: str) -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name))

    reset.write_text("5")
    before = kilobytes("VmRSS:")
    call()
    return 1024 * (kilobytes("VmHWM:") - before)


def matrix_product_rate(device: str, precision: str, *, size: int = 2048, repetitions: int = 8) -> float:
    """Operations per second of square matrix products in that precision, the fastest of a few."""
    a, b = torch.randn(2, size, size, device=device, dtype=AUTOCAST[precision] or torch.float32)
    return 2 * size**3 / min(seconds(lambda: a @ b, device) for _ in range(repetitions))


def machine(device: str) -> str:
    """The GPU's name, or the processor's with its cores and the threads in use."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    model = platform.processor()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        model = next((line.split(": ")[1] for line in lines if line.startswith("model name")), model)
    return f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def head(*more: str) -> str:
    """The first two lines of a table."""
    columns = ("", *COLUMNS, *more)
    return f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"


def row(
    name: str,
    times: list[float],
    plain_times: list[float],
    of_float64: float | None,
    peak: float | None,
    plain_peak: float | None,
    *more: str,
) -> str:
    """A line of a table: times in seconds, memory in bytes; ratios are to the plain formula's."""
    low, middle, high = (1e3 * q for q in statistics.quantiles(times, n=4))
    cells = (
        name,
        f"{middle:.1f}",
        f"{1e3 * min(times):.1f}",
        f"{low:.1f} - {high:.1f}",
        f"{statistics.median(plain_times) / statistics.median(times):.1f}",
        f"{min(plain_times) / min(times):.1f}",
        "-" if of_float64 is None else f"{of_float64:.1e}",
        "-" if peak is None else f"{peak / 1e6:.0f}",
        "-" if peak is None or not plain_peak else f"{peak / plain_peak:.3f}",
        *more,
    )
    return f"| {' | '.join(cells)} |"

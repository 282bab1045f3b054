"""What bounds attention to a grid on a CPU: the five passes over the weights that are left, each alone.

    python benchmarks/grid_floor.py

A weight (latent, row, column) is made by a matrix product with six factors, has the column's part added,
is raised to a power of two, multiplied with five values and added to the column's marginal. Measured is each
pass over tiles that stay in the cache, at the ImageNet cross-attend's size; their sum is the least time that
tensor operations can take, beside the operations on the latents. Needs torch alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.measure import machine, matrix_product_rate, seconds
from perceiver.kernels.grid_attention import TILE

LATENTS, ROWS, COLUMNS, DATA = 512, 224, 224, 3
QUERY, CHANNELS = 1024, 261


def passes() -> dict[str, Callable[[], object]]:
    """Each pass over the rows of one tile."""
    rows = max(1, TILE // (LATENTS * COLUMNS))
    tile, marginal = torch.zeros(2, rows, LATENTS, COLUMNS)
    factors, keys = torch.randn(rows, LATENTS, DATA + 3), torch.randn(rows, DATA + 3, COLUMNS)
    by_column, scale = torch.zeros(1, LATENTS, COLUMNS), torch.randn(rows, 1, COLUMNS)
    values, sums = torch.randn(rows, DATA + 2, COLUMNS), torch.empty(rows, DATA + 2, LATENTS)
    room = torch.empty_like(tile)
    return {
        "products": lambda: torch.bmm(factors, keys, out=room),
        "the column's part": lambda: tile.addcmul_(by_column, scale),
        "powers of two": tile.exp2_,
        "values": lambda: torch.bmm(values, tile.mT, out=sums),
        "marginal": lambda: marginal.add_(tile),
    }


def main() -> None:
    rows = max(1, TILE // (LATENTS * COLUMNS))
    rate = matrix_product_rate("cpu", "fp32")
    print(f"{machine('cpu')}; torch {torch.__version__}; load {os.getloadavg()[0]:.1f} at the start\n")
    print("| pass over 512 x 50,176 weights | fastest ms |\n|---|---|")
    total = 0.0
    for name, call in passes().items():
        took = 1e3 * ROWS / rows * min(seconds(call, "cpu", at_least=0.1) for _ in range(9))
        total += took
        print(f"| {name} | {took:.2f} |")
    latents = 2 * 2 * LATENTS * QUERY * CHANNELS
    print(f"| sum | {total:.2f} |")
    print(f"| queries and output of the latents, at {rate / 1e9:,.0f} GFLOP/s | {1e3 * latents / rate:.2f} |")


if __name__ == "__main__":
    main()

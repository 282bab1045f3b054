"""ModelNet40 in words: how many Fourier bands."""

from __future__ import annotations

from lab import Ablation
from pipelines.tables.table import ResultsTable
from pipelines.tables.texts import better, plot, stated

SWEEP = "text_modelnet40"

__all__ = ["SWEEP", "plot", "table"]


def table(sweep: Ablation) -> ResultsTable:
    """Test accuracy by the number of bands, in the paper's count."""
    return stated(
        sweep,
        title="In words · Fourier bands on ModelNet40",
        heading="Top-1",
        metric="test/top1",
        statements=(
            better("A_mn40_bands", "64 bands", "256 bands", "64 bands are better than 256."),
            better("A_mn40_bands", "64 bands", "16 bands", "64 bands are better than 16."),
        ),
        notes=("Numbers of bands are the paper's; another scale has an eighth of them.",),
        stands_for="ModelNet40",
    )

"""ImageNet in words: kinds of positions, and sharing the first cross-attend."""

from __future__ import annotations

from lab import Ablation
from pipelines.tables.table import ResultsTable
from pipelines.tables.texts import alike, better, plot, stated

SWEEP = "text_imagenet"
MARGIN = 1.0
"""Points within which two spacings count as the same (assumed)."""

__all__ = ["SWEEP", "plot", "table"]


def table(sweep: Ablation) -> ResultsTable:
    """Test accuracy of the main model and of the one with learned positions, changed one by one."""
    return stated(
        sweep,
        title="In words · Positions and sharing on ImageNet",
        heading="Top-1",
        metric="test/top1",
        statements=(
            alike("A_spacing", "main model", "log-spaced bands", MARGIN),
            better("A_concat_vs_add", "main model", "positions added"),
            better("A_share_first_cross", "main model", "first cross-attend shared"),
            better("A_learned_pos_8cross", "learned positions", "learned positions, 8 cross-attends"),
            better("A_learned_pos_scale", "learned positions", "learned positions, initial scale 0.02"),
        ),
        notes=(
            "Where the paper says unstable, the claim tested is that the accuracy is lower.",
            "To add positions a linear layer lifts the pixel to their width (assumed).",
        ),
    )

"""ImageNet in words: LAMB against SGD."""

from __future__ import annotations

from lab import Ablation
from pipelines.tables.claims import Claim, contrast
from pipelines.tables.paper import said
from pipelines.tables.table import ResultsTable
from pipelines.tables.texts import plot, stated

SWEEP = "text_optimizers"
RATES = {"LAMB": ("0.001", "0.004", "0.016"), "SGD": ("0.025", "0.1", "0.4")}

__all__ = ["SWEEP", "plot", "table"]


def table(sweep: Ablation) -> ResultsTable:
    """Test accuracy of the main model under both, at three learning rates each."""
    return stated(
        sweep,
        title="In words · LAMB and SGD on ImageNet",
        heading="Top-1",
        metric="test/top1",
        statements=(
            Claim(
                "LAMB is easier than SGD: over a sixteenfold range of learning rates it does better.",
                said("A_optimizer").where,
                contrast(*(
                    (sign, f"{name} at {rate}", "value")
                    for name, sign in (("LAMB", "+"), ("SGD", "-"))
                    for rate in RATES[name]
                )),
            ),
        ),
        notes=(
            "The effect is the sum over the three rates, those of LAMB less those of SGD. SGD's are assumed.",
        ),
    )  # fmt: skip

"""Table 7: weight sharing, its parameters and the gap between training and validation."""

from __future__ import annotations

from lab import Ablation
from perceiver import PerceiverConfig, variants
from pipelines.tables.claims import Claim, contrast
from pipelines.tables.paper import Quoted, quote
from pipelines.tables.plots import Panel, bars
from pipelines.tables.table import Column, ResultsTable, Row, count, measure, setting

SWEEP = "table7"
COLUMNS = (
    Column("validation", "Validation", "higher"),
    Column("train", "Train"),
    Column("parameters", "Parameters"),
    Column("flops", "FLOPs"),
)


def table(sweep: Ablation) -> ResultsTable:
    """Validation and training accuracy, parameters and FLOPs without and with weight sharing."""
    return ResultsTable(
        name="table7",
        title="Table 7 · Weight sharing",
        caption="Top-1 accuracy (%) on the validation and the training split, parameters and forward FLOPs "
        "per example of the best model, with all weights its own and with the published sharing.",
        sweep=sweep.name,
        scale=sweep.scale,
        setting=setting(sweep),
        columns=COLUMNS,
        rows=(
            _row(sweep, "no sharing", variants.imagenet_unshared(), "No weight sharing"),
            _row(sweep, "sharing", variants.imagenet(), "W/ weight sharing"),
        ),
        claims=(
            Claim(
                "Sharing weights raises validation accuracy.",
                "Table 7",
                contrast(("+", "sharing", "validation"), ("-", "no sharing", "validation")),
            ),
            Claim(
                "Sharing weights narrows the gap between training and validation.",
                "Table 7",
                contrast(
                    ("+", "no sharing", "train"), ("-", "no sharing", "validation"),
                    ("-", "sharing", "train"), ("+", "sharing", "validation"),
                ),
            ),
        ),
        notes=("How the paper measured training accuracy, with augmentation or without, is not stated.",),
    )  # fmt: skip


def plot(filled: ResultsTable) -> list[Panel]:
    """Validation against training accuracy, ours and the paper's."""
    return bars(filled, ("validation", "train"))


def _row(sweep: Ablation, case: str, model: PerceiverConfig, printed: str) -> Row:
    def paper(column: str) -> Quoted:
        return quote("T7", column, model=printed)

    return Row(
        case,
        (
            measure(sweep, case, "validation/top1", paper("valid_top1")),
            measure(sweep, case, "train/top1", paper("train_top1")),
            count(sweep, case, "parameters", model, paper("params_M")),
            count(sweep, case, "FLOPs", model, paper("flops_G")),
        ),
    )

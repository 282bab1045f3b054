"""Table 5: cross-attends alone, without a latent Transformer and without sharing."""

from __future__ import annotations

from lab import Ablation
from perceiver.variants import no_latent_transformer
from pipelines.tables.claims import Claim, contrast
from pipelines.tables.paper import quote
from pipelines.tables.plots import Panel, against_flops, curves
from pipelines.tables.table import Column, ResultsTable, Row, count, measure, setting

SWEEP = "table5"
NUMBERS = (4, 8, 12)
COLUMNS = (Column("top1", "Top-1", "higher"), Column("flops", "FLOPs"), Column("parameters", "Parameters"))


def table(sweep: Ablation) -> ResultsTable:
    """Test accuracy, FLOPs and parameters by the number of cross-attends."""
    return ResultsTable(
        name="table5",
        title="Table 5 · Without latent Transformer",
        caption="Top-1 accuracy (%), forward FLOPs per example and parameters of a stack of cross-attends "
        "that share no weights, with no latent Transformer between them.",
        sweep=sweep.name,
        scale=sweep.scale,
        setting=setting(sweep),
        columns=COLUMNS,
        rows=tuple(_row(sweep, number) for number in NUMBERS),
        claims=(
            Claim(
                "More cross-attends without latent Transformers are better: 8 beat 4.",
                "Table 5",
                contrast(("+", label(8), "top1"), ("-", label(4), "top1")),
            ),
        ),
    )


def plot(filled: ResultsTable) -> list[Panel]:
    """Accuracy against the number of cross-attends and against FLOPs, ours and the paper's."""
    rows = {n: label(n) for n in NUMBERS}
    return [
        *curves(filled, "top1", "cross-attends", {"no latent Transformer": rows}),
        *against_flops(filled, {"no latent Transformer": list(rows.values())}),
    ]


def label(number: int) -> str:
    """The row of a number of cross-attends, and its case in the sweep."""
    return f"{number} cross-attends"


def _row(sweep: Ablation, number: int) -> Row:
    case, model = label(number), no_latent_transformer(number)
    return Row(
        case,
        (
            measure(sweep, case, "test/top1", quote("T5", "top1", n_cross_attends=number)),
            count(sweep, case, "FLOPs", model, quote("T5", "flops_G", n_cross_attends=number)),
            count(sweep, case, "parameters", model, quote("T5", "params_M", n_cross_attends=number)),
        ),
    )

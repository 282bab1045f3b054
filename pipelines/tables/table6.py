"""Table 6: how many cross-attends, and where they stand."""

from __future__ import annotations

from lab import Ablation
from perceiver import variants
from perceiver.sharing import Placement
from pipelines.tables.claims import Claim, contrast
from pipelines.tables.paper import Quoted, quote
from pipelines.tables.plots import Panel, against_flops, curves
from pipelines.tables.table import Column, ResultsTable, Row, count, measure, setting

SWEEP = "table6"
NUMBERS = (1, 2, 4, 8)
PLACEMENTS: tuple[Placement, ...] = ("at_start", "interleaved")
COLUMNS = (Column("top1", "Top-1", "higher"), Column("flops", "FLOPs"), Column("parameters", "Parameters"))


def table(sweep: Ablation) -> ResultsTable:
    """Test accuracy, FLOPs and parameters by number and placement of the cross-attends."""
    return ResultsTable(
        name="table6",
        title="Table 6 · Number and placement of cross-attends",
        caption="Top-1 accuracy (%), forward FLOPs per example and parameters. Every row has the same latent "
        "blocks, whose weights are shared; all cross-attends but the first share theirs.",
        sweep=sweep.name,
        scale=sweep.scale,
        setting=setting(sweep),
        columns=COLUMNS,
        rows=tuple(_row(sweep, number, placement) for number in NUMBERS for placement in PLACEMENTS),
        claims=(
            Claim(
                "Eight cross-attends are better interleaved than stacked at the start.",
                "Table 6",
                contrast(("+", "8 interleaved", "top1"), ("-", "8 at start", "top1")),
            ),
            Claim(
                "Eight interleaved cross-attends are better than one.",
                "Table 6",
                contrast(("+", "8 interleaved", "top1"), ("-", "1 interleaved", "top1")),
            ),
            Claim(
                "Stacking more cross-attends at the start hurts: eight are worse than one.",
                "Table 6",
                contrast(("+", "1 at start", "top1"), ("-", "8 at start", "top1")),
            ),
        ),
        notes=("With one cross-attend the two placements are the same network.",),
    )


def plot(filled: ResultsTable) -> list[Panel]:
    """Accuracy against the number of cross-attends and against FLOPs for the two placements, ours and the
    paper's."""
    series = {words(place): {number: label(number, place) for number in NUMBERS} for place in PLACEMENTS}
    rows = {name: list(labels.values()) for name, labels in series.items()}
    return [*curves(filled, "top1", "cross-attends", series), *against_flops(filled, rows)]


def words(placement: Placement) -> str:
    """A placement as a row names it."""
    return placement.replace("_", " ")


def label(number: int, placement: Placement) -> str:
    """The row of a number and a placement, and its case in the sweep: `8 at start`."""
    return f"{number} {words(placement)}"


def _row(sweep: Ablation, number: int, placement: Placement) -> Row:
    case, model = label(number, placement), variants.imagenet(cross_attends=number, placement=placement)

    def paper(column: str) -> Quoted:
        return quote("T6", column, n_cross_attends=number, placement=placement)

    return Row(
        case,
        (
            measure(sweep, case, "test/top1", paper("top1")),
            count(sweep, case, "FLOPs", model, paper("flops_G")),
            count(sweep, case, "parameters", model, paper("params_M")),
        ),
    )

"""Figure 3: attention maps of the Perceiver on images, from the first cross-attend to the last."""

from __future__ import annotations

from lab import Ablation
from lab.tracking.tracker import Tracker
from pipelines.tables import attention
from pipelines.tables.cell import Measured
from pipelines.tables.paper import quote
from pipelines.tables.plots import Panel
from pipelines.tables.table import Column, ResultsTable, Row, measure, setting

SWEEP = "figure3"


def table(sweep: Ablation) -> ResultsTable:
    """Test accuracy of the model whose maps are drawn."""
    paper = quote("T1", "top1", model="Perceiver (FF)")
    return ResultsTable(
        name="figure3",
        title="Figure 3 · Attention maps",
        caption="The model whose cross-attends are drawn: of every pixel of a test image the weight, "
        "the mean over heads and latents.",
        sweep=sweep.name,
        scale=sweep.scale,
        setting=setting(sweep),
        columns=(Column("top1", "Top-1"),),
        rows=(Row("Perceiver (FF)", (measure(sweep, "Perceiver (FF)", "test/top1", paper),)),),
        notes=(
            "The paper's maps have no numbers. It draws scores before the softmax, some of another model; "
            "here they are the weights, after it.",
        ),
    )


def pictures(filled: ResultsTable, tracker: Tracker) -> list[Panel]:
    """The maps that the first seed has kept of those on record."""
    cell = filled.cell("Perceiver (FF)", "top1")
    return attention.recorded(cell, tracker) if isinstance(cell, Measured) else []


def undrawn(filled: ResultsTable) -> str:
    """What to do where no run has kept maps, with the command in backquotes."""
    cell = filled.cell("Perceiver (FF)", "top1")
    if isinstance(cell, Measured):
        return (
            "No run on record has kept attention maps. Where its weights are still there, they are drawn "
            f"and kept by `lab fill figure3 --scale {filled.scale}`."
        )
    return (
        "There are no attention maps yet: a run draws them at its end. What trains the model: "
        f"`lab sweep {filled.sweep} --scale {filled.scale}`."
    )

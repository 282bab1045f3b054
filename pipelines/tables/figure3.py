"""Figure 3: attention maps of the Perceiver on images, from the first cross-attend to the last."""

from __future__ import annotations

from lab import Ablation, Settings
from pipelines.tables.attention import maps
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


def pictures(filled: ResultsTable, settings: Settings) -> list[Panel]:
    """The maps of the first seed that is on record and whose checkpoint is kept."""
    cell = filled.cell("Perceiver (FF)", "top1")
    if not isinstance(cell, Measured):
        return []
    recorded = [spec for spec in cell.measurement.specs if spec.seed in cell.by_seed]
    return next((panels for spec in recorded if (panels := maps(spec, settings))), [])

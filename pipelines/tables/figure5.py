"""Figure 5: latents, channels, self-attends per block and cross-attends around a small model."""

from __future__ import annotations

from lab import Ablation
from perceiver import variants
from pipelines.tables.claims import Claim, contrast
from pipelines.tables.panels import COLUMNS, Swept
from pipelines.tables.paper import load
from pipelines.tables.plots import Panel, against_flops
from pipelines.tables.table import ResultsTable, setting

SWEEP = "figure5"
WORDS = {
    "num_latents": ("latents", "latent_index_dim"),
    "latent_channels": ("latent channels", "latent_channel_dim"),
    "self_attends_per_block": ("self-attends per block", "self_attends_per_block"),
    "cross_attends": ("cross-attends", "cross_attends"),
}
"""Field -> our words for it, and the name of its panel in the paper's values."""


def table(sweep: Ablation) -> ResultsTable:
    """Test accuracy, FLOPs and parameters along four axes that cross in one base."""
    ends = {panel.field: list(panel.labels(sweep).values()) for panel in panels()}
    return ResultsTable(
        name="figure5",
        title="Figure 5 · Size of a small model",
        caption="Top-1 accuracy (%), forward FLOPs per example and parameters, one size changed at a time. "
        "The base is the same run in every panel; no weights are shared.",
        sweep=sweep.name,
        scale=sweep.scale,
        setting=setting(sweep),
        columns=COLUMNS,
        rows=tuple(row for panel in panels() for row in panel.rows(sweep)),
        claims=(
            _rises("More latents are better.", ends["num_latents"]),
            Claim(
                "Twice the channels of the base are worse: they overfit.",
                "Figure 5",
                contrast(
                    ("+", ends["latent_channels"][1], "top1"), ("-", ends["latent_channels"][2], "top1")
                ),
            ),
            _rises("More self-attends per block are better.", ends["self_attends_per_block"]),
            _rises("More cross-attends are better.", ends["cross_attends"]),
        ),
        notes=(
            f"≈ is read off the plot, to ± {load().figure('F5').uncertainty:g}.",
            "The paper's base is 70.3 in three panels and 70.5 in the fourth, probably another run: its only "
            "hint of the noise between runs.",
            "That a cross-attend more brings a latent block more is assumed.",
            "Sizes of another scale keep the paper's proportions to the base.",
        ),
    )


def plot(filled: ResultsTable) -> list[Panel]:
    """Each panel, ours and the paper's, and all of them against forward FLOPs."""
    series = {panel.words: panel.row_labels(filled) for panel in panels()}
    return [drawn for panel in panels() for drawn in panel.drawn(filled)] + against_flops(filled, series)


def panels() -> list[Swept]:
    """The four panels of the figure."""
    base = variants.figure5_base()
    return [
        Swept(field, f"model.{field}", *WORDS[field], "F5", models, getattr(base, field))
        for field, models in variants.figure5().items()
    ]


def _rises(sentence: str, labels: list[str]) -> Claim:
    return Claim(sentence, "Figure 5", contrast(("+", labels[-1], "top1"), ("-", labels[0], "top1")))

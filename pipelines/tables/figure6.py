"""Figure 6: the scale of the latents' initial values, the Fourier bands, and their maximum resolution."""

from __future__ import annotations

from lab import Ablation
from perceiver import variants
from pipelines.tables.claims import Claim, contrast
from pipelines.tables.panels import COLUMNS, Swept
from pipelines.tables.paper import load
from pipelines.tables.plots import Panel
from pipelines.tables.table import ResultsTable, Row, count, measure, setting

SWEEP = "figure6"
POSITIONS = "model.inputs.positions"
AXES = {
    "latent_init_std": ("initial scale", "model.latent_init_std", "latent_init_scale", 0.02),
    "bands": ("bands", f"{POSITIONS}.bands", "ff_bands", 64),
    "max_resolution": ("maximum resolution", f"{POSITIONS}.max_resolution", "ff_max_resolution", 224),
}
"""Field -> our words, its path, the name of its panel in the paper's values, and the base's value."""
SPACED_BOTH_WAYS = (32, 64)
LOG = ", log-spaced"


def table(sweep: Ablation) -> ResultsTable:
    """Test accuracy, FLOPs and parameters along three axes that cross in the main model."""
    labels = {panel.field: panel.labels(sweep) for panel in panels()}
    rows = [row for panel in panels() for row in panel.rows(sweep)]
    for bands in SPACED_BOTH_WAYS:
        case = f"bands {bands} log"
        cells = (
            measure(sweep, case, "test/top1"),
            count(sweep, case, "FLOPs", variants.figure6()["bands"][bands]),
            count(sweep, case, "parameters", variants.figure6()["bands"][bands]),
        )
        rows.append(Row(f"{labels['bands'][bands]}{LOG}", cells))
    return ResultsTable(
        name="figure6",
        title="Figure 6 · Initial values and Fourier positions",
        caption="Top-1 accuracy (%), forward FLOPs per example and parameters of the main model, one value "
        "changed at a time. The base is the same run in every panel.",
        sweep=sweep.name,
        scale=sweep.scale,
        setting=setting(sweep),
        columns=COLUMNS,
        rows=tuple(rows),
        claims=(
            Claim(
                "Small initial values of the latents are better than those of scale 1.",
                "Figure 6",
                contrast(
                    ("+", labels["latent_init_std"][0.02], "top1"),
                    ("-", labels["latent_init_std"][1.0], "top1"),
                ),
            ),
            _rises("More bands are better.", labels["bands"]),
            _rises("A higher maximum resolution is better, up to Nyquist.", labels["max_resolution"]),
        ),
        notes=(
            f"The paper's values are not recovered: {load().figure('F6').why.partition(';')[0]}.",
            "The places on the axes are ours, around those that the paper's text names.",
            "Of scale 0.1 the paper says that the run diverged. More bands make the cross-attends wider too.",
            "Sizes of another scale keep the paper's proportions to the base.",
        ),
    )


def plot(filled: ResultsTable) -> list[Panel]:
    """Each panel of ours."""
    return [drawn for panel in panels() for drawn in panel.drawn(filled)]


def panels() -> list[Swept]:
    """The three panels of the figure."""
    return [
        Swept(field, path, words, printed, "F6", variants.figure6()[field], base)
        for field, (words, path, printed, base) in AXES.items()
    ]


def _rises(sentence: str, labels: dict[float, str]) -> Claim:
    lowest, *_, highest = labels.values()
    return Claim(sentence, "Figure 6", contrast(("+", highest, "top1"), ("-", lowest, "top1")))

"""Table 2: one fixed permutation of the pixels, with their positions or after forgetting them."""

from __future__ import annotations

from lab import Ablation
from pipelines.tables.claims import Claim, contrast
from pipelines.tables.paper import Quoted, quote
from pipelines.tables.plots import Panel, bars
from pipelines.tables.table import Column, ResultsTable, Row, measure, setting

SWEEP = "table2"
PAPER_ROWS = {
    "ResNet (FF)": "ResNet-50 (FF)",
    "ViT (FF)": "ViT-B-16 (FF)",
    "Transformer (FF)": "Transformer (64x64) (FF)",
    "Perceiver (FF)": "Perceiver (FF)",
    "Perceiver (learned pos.)": "Perceiver (Learned pos.)",
    "Perceiver (no pos.)": None,
}
COLUMNS = (
    Column("raw", "Raw", "higher"),
    Column("permuted", "Permuted", "higher"),
    Column("input_rf", "Input RF (px)"),
)
PROOFS = {
    "Transformer (FF)": "tests/perceiver/test_baselines_image.py: only the Transformer is indifferent",
    "Perceiver (FF)": "tests/perceiver/test_perceiver_model.py: the logits are equal to rounding",
}
"""What shows that a model's function does not depend on the order of its elements."""


def table(sweep: Ablation) -> ResultsTable:
    """Raw and permuted test accuracy of every model, and the first layer's receptive field in the paper."""
    return ResultsTable(
        name="table2",
        title="Table 2 · Permuted pixels",
        caption="Top-1 accuracy (%) on the images as they are, and with one fixed permutation, the same for "
        "all, applied after the position features are attached. FF: Fourier features.",
        sweep=sweep.name,
        scale=sweep.scale,
        setting=setting(sweep),
        columns=COLUMNS,
        rows=tuple(_row(sweep, label, printed) for label, printed in PAPER_ROWS.items()),
        claims=(
            _hurts("ResNet (FF)"),
            _hurts("ViT (FF)"),
            _unchanged("Transformer (FF)"),
            _unchanged("Perceiver (FF)"),
        ),
        notes=(
            "Perceiver and Transformer take a set of elements: permuted is the same function, and the same "
            "runs as raw.",
            "The row without positions is not in the paper. A grey pixel alone is one channel, which "
            "LayerNorm makes constant: on digits it is at chance by construction.",
        ),
    )


def plot(filled: ResultsTable) -> list[Panel]:
    """Raw against permuted, ours and the paper's."""
    return bars(filled, ("raw", "permuted"))


def _row(sweep: Ablation, label: str, printed: str | None) -> Row:
    def paper(column: str) -> Quoted | None:
        return quote("T2", column, model=printed) if printed else None

    return Row(
        label,
        (
            measure(sweep, f"{label} raw", "test/top1", paper("raw")),
            measure(sweep, f"{label} permuted", "test/top1", paper("permuted")),
            paper("input_rf_pixels"),
        ),
    )


def _hurts(model: str) -> Claim:
    return Claim(
        f"Permuting the pixels hurts the {model.removesuffix(' (FF)')}.",
        "Table 2",
        contrast(("+", model, "raw"), ("-", model, "permuted")),
    )


def _unchanged(model: str) -> Claim:
    return Claim(
        f"Permuting the pixels leaves the {model.removesuffix(' (FF)')} unchanged.",
        "Table 2",
        proof=PROOFS[model],
    )

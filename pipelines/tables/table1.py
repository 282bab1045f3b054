"""Table 1: ImageNet as it is, the Perceiver beside its rivals."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from lab import Ablation
from lab.spec import Model
from perceiver import Image, variants
from perceiver.baselines import ResNet, Transformer, ViT
from pipelines.tables.cell import Measured, Missing
from pipelines.tables.claims import Claim, contrast
from pipelines.tables.paper import quote
from pipelines.tables.plots import Panel, against_flops
from pipelines.tables.table import Column, ResultsTable, Row, measure, setting

SWEEP = "table1"
PAPER_ROWS = {
    "ResNet": "ResNet-50 (He et al., 2016)",
    "ViT": "ViT-B-16 (Dosovitskiy et al., 2021)",
    "ResNet (FF)": "ResNet-50 (FF)",
    "ViT (FF)": "ViT-B-16 (FF)",
    "Transformer (FF)": "Transformer (64x64, FF)",
    "Perceiver (FF)": "Perceiver (FF)",
}
COLUMNS = (Column("top1", "Top-1", "higher"),)


def table(sweep: Ablation) -> ResultsTable:
    """Test accuracy of six models."""
    return ResultsTable(
        name="table1",
        title="Table 1 · ImageNet",
        caption="Top-1 accuracy (%). FF: pixels with Fourier features of their places; two rows are "
        "of pixels alone.",
        sweep=sweep.name,
        scale=sweep.scale,
        setting=setting(sweep),
        columns=COLUMNS,
        rows=tuple(
            Row(label, (measure(sweep, label, "test/top1", quote("T1", "top1", model=printed)),))
            for label, printed in PAPER_ROWS.items()
        ),
        claims=(
            _beats("ResNet (FF)"),
            _beats("ViT (FF)"),
            _beats("Transformer (FF)"),
        ),
        notes=(
            "Depth and width of the paper's Transformer are not stated, and assumed.",
            "Literature rows were run by others, with recipes of their own; ours have the paper's.",
        ),
    )


def plot(filled: ResultsTable) -> list[Panel]:
    """Accuracy against forward FLOPs, one mark for each model."""
    costs = {label: partial(_flops, filled, label) for label in PAPER_ROWS}
    return against_flops(filled, {label: [label] for label in PAPER_ROWS}, costs)


def models() -> dict[str, Model]:
    """The models of the rows as the paper has them."""
    pixels = variants.imagenet().inputs
    assert isinstance(pixels, Image)
    bare = replace(pixels, positions=None)
    return {
        "ResNet": ResNet(inputs=bare),
        "ViT": ViT(inputs=bare),
        "ResNet (FF)": ResNet(inputs=pixels),
        "ViT (FF)": ViT(inputs=pixels),
        "Transformer (FF)": Transformer(inputs=pixels, grid=(64, 64)),
        "Perceiver (FF)": variants.imagenet(),
    }


def _flops(filled: ResultsTable, label: str) -> tuple[int, int]:
    """FLOPs of the row's model and of the paper's. A rival is counted by running it without numbers, in a
    second: only for a drawing."""
    cell = filled.cell(label, "top1")
    assert isinstance(cell, Measured | Missing)
    return cell.measurement.specs[0].model.flops(), models()[label].flops()


def _beats(rival: str) -> Claim:
    return Claim(
        f"The Perceiver beats the {rival.removesuffix(' (FF)')} on the same pixels with Fourier features.",
        "Table 1",
        contrast(("+", "Perceiver (FF)", "top1"), ("-", rival, "top1")),
    )

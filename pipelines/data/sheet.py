"""Examples of a data set as a picture: before augmentation and after."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lab.spec import Batch
from pipelines.data import counter
from pipelines.data.counter import Draws
from pipelines.data.prepare import declared, opened

Picture = NDArray[np.uint8]

LINE, GAP = 14, 4
"""Pixels: of a line of text, and between pictures."""
SMALLEST, WIDEST = 64, 2560
"""Pictures lower than this are enlarged; as many are side by side as there is room for."""
INK, PAPER = (230, 230, 230), (64, 64, 64)


def contact_sheet(
    root: str, name: str, path: str | Path, *, split: str = "train", count: int = 16, seed: int = 0
) -> Path:
    """Writes a PNG of up to `count` examples and returns its path: each with its labels, as evaluation sees
    it, and below as two epochs see it.
    """
    dataset, stream = declared(name)[0], opened(root, name)
    ids = counter.permutation(counter.key(seed), stream.size(split))[:count]
    titles = ["as evaluation sees them", "as epoch 0 sees them", "as epoch 1 sees them"]
    draws = [None, partial(Draws.of, seed, 0), partial(Draws.of, seed, 1)]
    # One at a time: of video, evaluation sees many clips of each.
    shown = [[stream.examples(split, one, draw) for one in ids[:, None]] for draw in draws]
    captions = [_labels(batch, stream.manifest.labels) for batch in shown[0]]
    rows = [[_rgb(dataset.picture(_only(batch.inputs))) for batch in batches] for batches in shown]
    _save(rows, titles, captions, Path(path))
    return Path(path)


def _labels(batch: Batch, names: Sequence[str]) -> str:
    """The labels of the one example of a batch: one class, or a share of each."""
    target = batch.targets[0]
    labels = target.nonzero().flatten().tolist() if target.ndim else [int(target)]
    return ", ".join(names[label] for label in labels)


def _only(inputs: Tensor | dict[str, Tensor]) -> Tensor | dict[str, Tensor]:
    """The inputs of the one example of a batch."""
    return {name: part[0] for name, part in inputs.items()} if isinstance(inputs, dict) else inputs[0]


def _save(rows: list[list[Picture]], titles: list[str], captions: list[str], path: Path) -> None:
    from PIL import Image, ImageDraw

    height, width, _ = rows[0][0].shape
    scale = max(1, SMALLEST // height)
    height, width = height * scale, width * scale
    columns = max(1, min(len(captions), (WIDEST - GAP) // (width + GAP)))
    down = LINE + GAP + height + GAP
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, LINE + len(rows) * down), PAPER)
    draw = ImageDraw.Draw(sheet)
    for row, (title, pictures) in enumerate(zip(titles, rows, strict=True)):
        top = row * down + (LINE if row else 0)
        draw.text((GAP, top + 1), title, INK)
        top += LINE if row else 2 * LINE
        for column, (picture, caption) in enumerate(zip(pictures[:columns], captions, strict=False)):
            left = GAP + column * (width + GAP)
            tile = Image.fromarray(picture).resize((width, height), Image.Resampling.NEAREST)
            sheet.paste(tile, (left, top + GAP))
            if not row:
                draw.text((left, LINE + 1), _fitting(caption, width), INK)
    sheet.save(path, format="PNG")


def _fitting(text: str, width: int) -> str:
    """As much of a text as goes above a picture."""
    from PIL import ImageFont

    font = ImageFont.load_default()
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def _rgb(picture: Picture) -> Picture:
    return picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)

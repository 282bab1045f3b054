"""Where a trained model looks: images of the test split, and beside each the map of every cross-attend."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lab import ExperimentSpec, Settings
from perceiver import Perceiver
from perceiver.attention_maps import attention_maps, on_grids
from pipelines.tables import svg
from pipelines.tables.plots import Panel

EXAMPLES = 6
SIDE, GAP, HEAD = 62.0, 6.0, 22.0
"""of a picture, between pictures, and above them, in pixels"""


def maps(spec: ExperimentSpec, settings: Settings) -> list[Panel]:
    """The maps of the first test images, one panel; none without a checkpoint of that experiment.

    A map is the mean over heads and latents of the attention weights, its brightest place white. Raises
    MissingDataset.
    """
    model = trained(spec, settings)
    if model is None:
        return []
    source = spec.data.open(settings.data)
    batch = next(iter(source.scan("test", batch_size=EXAMPLES)))
    assert isinstance(batch.inputs, Tensor)
    weights = [on_grids(model, each)["inputs"] for each in attention_maps(model, batch.inputs)]
    shown = [spec.data.picture(image) for image in batch.inputs]  # type: ignore[attr-defined]
    title = f"Attention maps of {spec.digest}, seed {spec.seed}, on {spec.data.name}"
    return [Panel(title, drawn(title, shown, weights))]


def trained(spec: ExperimentSpec, settings: Settings) -> Perceiver | None:
    """The Perceiver of the newest checkpoint of an experiment, None where there is none."""
    from lab.train.checkpoint import CheckpointStore
    from lab.train.state import Training

    checkpoint = CheckpointStore(settings.storage, spec.digest).latest()
    if checkpoint is None:
        return None
    training = Training.begin(spec, torch.device("cpu"))
    training.restore(checkpoint)
    assert isinstance(training.model, Perceiver)
    return training.model.eval()


def drawn(name: str, images: Sequence[NDArray[np.uint8]], weights: Sequence[Tensor]) -> str:
    """Images in the first column and the maps (b, height, width) of each cross-attend in one of its own."""
    pitch = SIDE + GAP
    heads = ["image", *(f"cross {number}" for number in range(1, len(weights) + 1))]
    parts = [
        svg.text(head, column * pitch + SIDE / 2, HEAD - 8, "middle", "tick")
        for column, head in enumerate(heads)
    ]
    for row, image in enumerate(images):
        pictures = [image, *(levels(of_cross_attend[row]) for of_cross_attend in weights)]
        for column, picture in enumerate(pictures):
            parts.append(svg.picture(png(picture), (column * pitch, HEAD + row * pitch), (SIDE, SIDE)))
    return svg.drawing(len(heads) * pitch - GAP, HEAD + len(images) * pitch - GAP, name, *parts)


def levels(attention: Tensor) -> NDArray[np.uint8]:
    """A map as grey levels, its brightest place white."""
    scaled = attention.double() / attention.double().max().clamp(min=1e-30)
    return np.asarray((scaled * 255).round().to(torch.uint8).cpu())


def png(picture: NDArray[np.uint8]) -> bytes:
    """Grey levels (height, width) or colours (height, width, 3) as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()

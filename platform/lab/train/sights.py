"""Where a trained model looks, drawn at the end of its run and kept with it: images, and beside them maps.

A model that has `attention` says where (see `Attentive`), a data set that has `picture` shows an example as a
person would see it; a run of any other has no such drawing. The drawing is an SVG of PNG files, each pixel of
a map a pixel, so that whoever reads the record has the maps and needs neither the weights nor the data.
"""

from __future__ import annotations

import io
import logging
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from lab.spec import ExperimentSpec, Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

FILE = "attention.svg"
"""what is kept with a run"""
EXAMPLES = 6
SIDE, GAP, HEAD = 62.0, 6.0, 22.0
"""of a picture, between pictures, and above them, in pixels"""
FINEST = 128
"""pixels of a side that are kept"""

log = logging.getLogger(__name__)


@runtime_checkable
class Attentive(Protocol):
    """A model that can say where it looks."""

    def attention(self, network: nn.Module, inputs: Tensor) -> Sequence[Tensor]:
        """Where `network`, one that it has built, looks in images (b, ...): (b, height, width) for each time
        that it does, in their order; nothing where there is no image to look at."""


def sights(spec: ExperimentSpec, network: nn.Module, source: Source) -> str:
    """The drawing for the first images of the test split, or of another where that is not measured; empty
    where there is nothing to draw."""
    picture: Any = getattr(spec.data, "picture", None)
    if not isinstance(spec.model, Attentive) or picture is None:
        return ""
    measured = (*spec.evaluation.at_end, *spec.evaluation.splits)
    batch = next(iter(source.scan("test" if "test" in measured else measured[-1], batch_size=EXAMPLES)))
    if not isinstance(batch.inputs, Tensor):
        return ""
    device = next(network.parameters()).device
    images = batch.inputs[batch.weights > 0]
    # One at a time: on ImageNet the weights of a cross-attend take 103 MB per image.
    maps = [spec.model.attention(network, image[None].to(device)) for image in images]
    rows = [
        [picture(image), *(levels(each[0]) for each in of_image)]
        for image, of_image in zip(images, maps, strict=True)
        if of_image
    ]
    title = f"Attention maps of {spec.digest}, seed {spec.seed}, on {spec.data.name}"
    return drawn(title, [[png(pixels) for pixels in row] for row in rows]) if rows else ""


def sights_or_none(spec: ExperimentSpec, network: nn.Module, source: Source) -> str:
    """As `sights`, but no run that is complete is lost for a drawing that takes more memory than is left."""
    try:
        return sights(spec, network, source)
    except torch.OutOfMemoryError as fault:
        log.warning("no attention maps of %s are drawn: %s", spec.digest, str(fault).splitlines()[0])
        return ""


def drawn(title: str, rows: Sequence[Sequence[bytes]]) -> str:
    """PNG files as SVG: an image first in each row, then its maps. Colours may be decided by a page."""
    pitch, columns = SIDE + GAP, len(rows[0])
    heads = ["image", *(f"cross {number}" for number in range(1, columns))]
    words = [
        f'<text x="{place * pitch + SIDE / 2:g}" y="{HEAD - 8:g}" text-anchor="middle" class="tick" '
        f'font-family="sans-serif" font-size="11" fill="#64645f">{head}</text>'
        for place, head in enumerate(heads)
    ]
    pictures = [
        f'<image href="data:image/png;base64,{b64encode(data).decode()}" x="{column * pitch:g}" '
        f'y="{HEAD + row * pitch:g}" width="{SIDE:g}" height="{SIDE:g}" image-rendering="pixelated"/>'
        for row, of_image in enumerate(rows)
        for column, data in enumerate(of_image)
    ]
    box = f"0 0 {columns * pitch - GAP:g} {HEAD + len(rows) * pitch - GAP:g}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" role="img" '
        f'aria-label="{escape(title)}" class="plot">{"".join(words + pictures)}</svg>'
    )


def levels(attention: Tensor) -> Pixels:
    """A map (height, width) as grey levels, its brightest place white."""
    scaled = attention.double() / attention.double().max().clamp(min=1e-30)
    pixels: Pixels = (scaled * 255).round().to(torch.uint8).cpu().numpy()
    return pixels


def png(pixels: Pixels) -> bytes:
    """Grey levels (height, width) or colours (height, width, 3) as a PNG file, smaller where it is large."""
    from PIL import Image

    file, image = io.BytesIO(), Image.fromarray(pixels)
    if max(image.size) > FINEST:
        image.thumbnail((FINEST, FINEST))
    image.save(file, "PNG")
    return file.getvalue()

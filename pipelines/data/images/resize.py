"""From decoded pixels to the size a model takes. None of this starts threads of its own."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.data.images.crops import Box


def cropped(pixels: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """The pixels of a box, as a view."""
    left, top, right, bottom = box
    return pixels[top:bottom, left:right]


def resized(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """(height, width, 3) from 8-bit RGB of any size, bicubic with antialiasing.

    As Pillow's BICUBIC horizontally, then vertically, to two levels; at a sixth of its CPU time.
    """
    slot = torch.empty((height, width, 3), dtype=torch.uint8)
    resize_into(slot, pixels)
    return slot.numpy()


def resize_into(slot: Tensor, pixels: NDArray[np.uint8]) -> None:
    """The same, to where it is wanted: a slot (height, width, 3) of a batch."""
    # Contiguous, the batch axis too: else torch rearranges it, with a team of OpenMP threads beside each
    # thread that loads, and returns planes, which take 30 times as long to put into a batch.
    batch = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).unsqueeze(0)
    # What F.interpolate calls, which has no `out`.
    torch.ops.aten._upsample_bicubic2d_aa.out(
        batch.permute(0, 3, 1, 2),
        list(slot.shape[:2]),
        align_corners=False,
        out=slot.unsqueeze(0).permute(0, 3, 1, 2),
    )


def flipped(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mirror image, left for right."""
    mirror = np.empty_like(pixels)
    # By channel: copying triples of bytes backwards takes six times as long.
    for channel in range(pixels.shape[2]):
        mirror[..., channel] = pixels[:, ::-1, channel]
    return mirror

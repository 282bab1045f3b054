"""Attention maps as pictures: PNG files, bright where the latents look (paper, Figure 3)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from einops import rearrange, reduce, repeat
from torch import Tensor

from perceiver.attention_maps import attention_maps, on_grids, streams
from perceiver.elements import PointElements
from perceiver.model import Perceiver

CLOUD_SIDE = 128
"""Pixels of the square that a cloud of points is drawn on."""


def save_pictures(
    model: Perceiver,
    raw: Tensor | Mapping[str, Tensor],
    folder: Path,
    *,
    latents: tuple[int, ...] = (),
    scale: int = 1,
) -> list[Path]:
    """PNG files `cross-attend-1.inputs.example-0.png`, bright where the latents, or these `latents`, look.

    Every picture's brightest place is white. Frames of a video lie side by side, sounds and bytes are strips,
    points are seen from above. An element is `scale` pixels wide. Raises InputError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    maps = attention_maps(model, raw, per_latent=bool(latents))
    for number, weights in enumerate(maps, start=1):
        rows = {"": weights}
        if latents:
            rows = {
                f".latent-{latent}": reduce(weights[:, :, latent], "b h m -> b m", "mean")
                for latent in latents
            }
        for suffix, row in rows.items():
            for modality, example, picture in _pictures(model, raw, row):
                path = folder / f"cross-attend-{number}.{modality}.example-{example}{suffix}.png"
                path.write_bytes(png(repeat(picture, "y x -> (y i) (x j)", i=scale, j=scale)))
                paths.append(path)
    return paths


def _pictures(
    model: Perceiver, raw: Tensor | Mapping[str, Tensor], attention: Tensor
) -> Iterator[tuple[str, int, Tensor]]:
    """Modality, example and picture (height, width) of every map in a batch (b, m)."""
    by_name = streams(model)
    for modality, grids in on_grids(model, attention).items():
        elements, _ = by_name[modality]
        values = raw[modality] if isinstance(raw, Mapping) else raw
        for example, grid in enumerate(grids):
            if isinstance(elements, PointElements):
                yield modality, example, seen_from_above(values[example], grid)
            else:
                yield modality, example, flat(grid)


def flat(grid: Tensor) -> Tensor:
    """A grid of one, two or three axes as a picture (height, width)."""
    picture: Tensor
    match grid.ndim:
        case 1:
            picture = repeat(grid, "x -> y x", y=max(1, len(grid) // 16))
        case 2:
            picture = grid
        case _:
            picture = rearrange(grid, "t y x -> y (t x)")
    return picture


def seen_from_above(points: Tensor, attention: Tensor) -> Tensor:
    """Points (m, d) in [-1, 1] by their first two coordinates; where several fall together, the brightest."""
    places = ((points[:, :2].clamp(-1, 1) + 1) / 2 * (CLOUD_SIDE - 1)).round().long()
    picture = attention.new_zeros(CLOUD_SIDE * CLOUD_SIDE)
    flat_places = places[:, 1] * CLOUD_SIDE + places[:, 0]
    return picture.scatter_reduce(0, flat_places, attention, "amax").view(CLOUD_SIDE, CLOUD_SIDE)


def png(picture: Tensor) -> bytes:
    """A picture (height, width) of values from 0 as an 8-bit grey PNG file, its largest value white."""
    levels = (picture.float() / picture.max().clamp(min=1e-30) * 255).round().to(torch.uint8).cpu()
    height, width = levels.shape
    # Every row is preceded by its filter: 0, none.
    rows = torch.cat([torch.zeros(height, 1, dtype=torch.uint8), levels], dim=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows.numpy().tobytes())), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

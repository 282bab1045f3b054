"""Frames as they are stored, so that only what is looked at becomes RGB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.images.crops import Box

Tables = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""(256,) each: what is shown in place of each value of luma, and of either chroma."""


@dataclass(frozen=True, eq=False)
class Film:
    """Frames of one size with a luma for every pixel, and two chromas for every four: FFmpeg's yuv420p.

    Values are those of ITU-R BT.601, with luma from 16 to 235.

    luma: (t, h, w) 8-bit values · chroma: (t, 2, h / 2, w / 2), rounded up
    """

    luma: NDArray[np.uint8]
    chroma: NDArray[np.uint8]

    @property
    def height(self) -> int:
        return int(self.luma.shape[1])

    @property
    def width(self) -> int:
        return int(self.luma.shape[2])

    @classmethod
    def of(cls, frames: Iterator[Any], count: int) -> Film:
        """`count` frames from decoded ones in yuv420p, one at least; the last is repeated if there are fewer.

        Raises ValueError if their sizes differ.
        """
        place = 0
        for place, frame in enumerate(frames):
            luma, *chroma = planes(frame)
            if not place:
                film = cls(
                    np.empty((count, *luma.shape), np.uint8), np.empty((count, 2, *chroma[0].shape), np.uint8)
                )
            film.luma[place] = luma
            film.chroma[place] = chroma
        for values in (film.luma, film.chroma):
            values[place + 1 :] = values[place]
        return film

    def cut(self, box: Box, *, mirrored: bool = False) -> tuple[Film, Box]:
        """A view of the least that has all of a box in it, mirrored if so asked; and the box in the view."""
        left, top = (edge - edge % 2 for edge in box[:2])
        right, bottom = (edge + edge % 2 for edge in box[2:])
        step = -1 if mirrored else 1
        part = Film(
            self.luma[:, top:bottom, left:right][..., ::step],
            self.chroma[..., top // 2 : bottom // 2, left // 2 : right // 2][..., ::step],
        )
        before, after = (right - box[2], right - box[0]) if mirrored else (box[0] - left, box[2] - left)
        return part, (before, box[1] - top, after, box[3] - top)

    def pictures(self, tables: Tables | None = None) -> Iterator[NDArray[np.uint8]]:
        """Its frames in RGB, (h, w, 3) each; of what `tables`, if any, have for its luma and chroma."""
        from av import VideoFrame
        from av.video.reformatter import VideoReformatter

        # One for all frames: making one costs as much as decoding a frame.
        converter, frame = VideoReformatter(), VideoFrame(self.width, self.height, "yuv420p")
        into = planes(frame)
        # As bytes: numpy would make each value an index of 64 bits, at twice the cost.
        of_luma, of_chroma = (table.tobytes() for table in tables) if tables else (None, None)
        for luma, chroma in zip(self.luma, self.chroma, strict=True):
            for plane, values, table in zip(
                into, (luma, *chroma), (of_luma, of_chroma, of_chroma), strict=True
            ):
                plane[:] = values if table is None else _looked_up(values, table)
            picture: NDArray[Any] = converter.reformat(frame, format="rgb24", threads=1).to_ndarray()
            yield picture


def planes(frame: Any) -> list[NDArray[np.uint8]]:
    """The luma and the chromas of a frame in yuv420p, as views."""
    return [
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        for plane in frame.planes
    ]


def _looked_up(values: NDArray[np.uint8], table: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(values.tobytes().translate(table), np.uint8).reshape(values.shape)

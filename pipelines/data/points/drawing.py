"""A cloud as a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.data.points.transforms import Cloud

AZIMUTH, ELEVATION = np.radians(35), np.radians(25)
"""From where the cloud is looked at; its third axis points up."""

REACH = 1.5
"""As far from the middle of the picture as a corner of the cube is seen, and a little more."""

NEAR, FAR = np.array([20, 40, 110]), np.array([190, 205, 225])
"""Colours of the point that is nearest and of the one farthest away."""


def drawn(cloud: Cloud, side: int = 128) -> NDArray[np.uint8]:
    """(side, side, 3) picture of a cloud in [-1, 1]^3: dots on white, in parallel projection, nearer ones
    darker and in front."""
    x, y, z = np.asarray(cloud, np.float64).T
    right = x * np.cos(AZIMUTH) + y * np.sin(AZIMUTH)
    away = y * np.cos(AZIMUTH) - x * np.sin(AZIMUTH)
    up = z * np.cos(ELEVATION) + away * np.sin(ELEVATION)
    away = away * np.cos(ELEVATION) - z * np.sin(ELEVATION)
    across = np.rint((right / REACH + 1) / 2 * (side - 2)).astype(int)
    down = np.rint((1 - up / REACH) / 2 * (side - 2)).astype(int)
    order = np.argsort(-away, kind="stable")
    nearness = (away.max() - away) / max(np.ptp(away), 1e-9)
    colours = np.rint(FAR + nearness[:, None] * (NEAR - FAR)).astype(np.uint8)
    picture = np.full((side, side, 3), 255, np.uint8)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        picture[down[order] + row, across[order] + column] = colours[order]
    return picture

"""What is done to the coordinates (n, 3) of a cloud (paper, section 4.3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.data.points.sampling import uniforms

Cloud = NDArray[np.float32]


def centred(cloud: Cloud) -> Cloud:
    """Moved so that the mean of the points is 0."""
    return np.asarray(cloud - cloud.mean(axis=0, dtype=np.float64), np.float32)


def scaled(cloud: Cloud, low: float, high: float, of: int) -> Cloud:
    """Every point moved towards the origin or away from it by its own factor in [low, high), which belongs to
    the key `of` and the place of the point.
    """
    factors = low + (high - low) * uniforms(of, np.arange(len(cloud)))
    return cloud * factors.astype(np.float32)[:, None]


def in_unit_cube(cloud: Cloud) -> Cloud:
    """Scaled as a whole so that the largest coordinate is 1 or -1: the smallest cube around the origin that
    holds the cloud becomes [-1, 1]^3, and proportions stay.
    """
    reach = np.abs(cloud).max(initial=0)
    return cloud / reach if reach else cloud

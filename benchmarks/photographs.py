"""JPEGs of ImageNet's size and kind, made of scikit-learn's two photographs: no download."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import simplejpeg
from PIL import Image
from sklearn.datasets import load_sample_images

WIDTH, HEIGHT = 500, 375
QUALITY = 95
NOISE = 3.8
"""Standard deviation, in levels of brightness: it makes the files about as large as ImageNet's, 97 kB."""


def photographs(number: int, seed: int = 0) -> Iterator[bytes]:
    """Different crops of the photographs, enlarged, with noise of a camera; 4:2:0, as most of ImageNet is."""
    generator = np.random.default_rng(seed)
    sources = [Image.fromarray(source) for source in load_sample_images().images]
    noise = generator.normal(0, NOISE, (2 * HEIGHT, 2 * WIDTH, 1)).astype(np.float32)
    for index in range(number):
        source = sources[index % len(sources)]
        high = int(generator.integers(source.height // 2, source.height))
        wide = high * WIDTH // HEIGHT
        left, top = generator.integers(0, source.width - wide), generator.integers(0, source.height - high)
        picture = source.resize((WIDTH, HEIGHT), box=(left, top, left + wide, top + high))
        down, right = generator.integers(0, HEIGHT), generator.integers(0, WIDTH)
        noisy = np.asarray(picture, np.float32) + noise[down : down + HEIGHT, right : right + WIDTH]
        levels = np.ascontiguousarray(np.clip(noisy, 0, 255).astype(np.uint8))
        yield simplejpeg.encode_jpeg(levels, QUALITY, "RGB", "420")

"""Resizing is Pillow's BICUBIC, and neither the crop nor the layout in memory changes it."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.datasets import load_sample_image

from pipelines.data.images.decode import decode
from pipelines.data.images.resize import cropped, flipped, resize_into, resized

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (400, 500, 3), np.uint8)
PHOTO = load_sample_image("china.jpg")
BICUBIC = Image.Resampling.BICUBIC

SIZES = [
    (300, 300),
    (224, 300),
    (300, 224),
    (60, 80),
    (331, 251),
    (300, 100),
    (100, 300),
    (1, 50),
    (50, 1),
    (1, 1),
]


@pytest.mark.parametrize("source", [NOISE, PHOTO], ids=["noise", "photo"])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_it_is_pillow_s_bicubic_one_axis_after_the_other(source: np.ndarray, height: int, width: int) -> None:
    """Pillow may take the columns first, and both round in between: so it is told the order."""
    pixels = source[:height, :width]
    across = Image.fromarray(np.ascontiguousarray(pixels)).resize((224, height), BICUBIC)
    expected = np.asarray(across.resize((224, 224), BICUBIC)).astype(int)
    given = resized(pixels, 224, 224)
    assert (given.dtype, given.shape) == (np.uint8, (224, 224, 3))
    assert np.abs(given - expected).max() <= 2
    assert np.abs(given - expected).mean() < 0.05


def test_on_photographs_pillow_s_own_order_differs_by_a_fraction_of_a_level() -> None:
    for left, top, right, bottom in [(0, 0, 251, 331), (100, 50, 400, 350), (200, 10, 300, 310)]:
        picture = Image.fromarray(PHOTO).crop((left, top, right, bottom)).resize((224, 224), BICUBIC)
        given = resized(cropped(PHOTO, (left, top, right, bottom)), 224, 224)
        assert np.abs(given - np.asarray(picture).astype(int)).mean() < 0.3


def test_no_pixel_outside_of_the_box_has_a_part_in_the_result() -> None:
    inside = NOISE.copy()
    box = (100, 120, 350, 300)
    outside = np.ones(inside.shape[:2], bool)
    outside[120:300, 100:350] = False
    inside[outside] = 0
    assert (resized(cropped(NOISE, box), 64, 48) == resized(cropped(inside, box), 64, 48)).all()


def test_the_same_size_is_the_same_picture() -> None:
    assert (resized(NOISE, 400, 500) == NOISE).all()


def test_the_layout_in_memory_does_not_matter() -> None:
    planes = np.ascontiguousarray(NOISE.transpose(2, 0, 1)).transpose(1, 2, 0)
    frozen = NOISE.copy()
    frozen.flags.writeable = False
    assert (resized(planes, 100, 90) == resized(NOISE, 100, 90)).all()
    assert (resized(frozen, 100, 90) == resized(NOISE, 100, 90)).all()
    assert resized(cropped(NOISE, (3, 5, 90, 70)), 100, 90).flags.c_contiguous


def test_a_slot_of_a_batch_is_filled_and_its_neighbours_are_left() -> None:
    batch = torch.full((3, 100, 90, 3), 7, dtype=torch.uint8)
    resize_into(batch[1], NOISE)
    planes = torch.from_numpy(NOISE)[None].permute(0, 3, 1, 2)
    expected = F.interpolate(planes, size=(100, 90), mode="bicubic", antialias=True)
    assert torch.equal(batch[1], expected[0].permute(1, 2, 0))
    assert (batch[[0, 2]] == 7).all()


def test_a_mirror_image_is_pillow_s() -> None:
    expected = np.asarray(Image.fromarray(NOISE).transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    assert (flipped(NOISE) == expected).all()
    assert (flipped(cropped(NOISE, (3, 5, 90, 70))) == NOISE[5:70, 3:90][:, ::-1]).all()


LOADING = """
import threading
from pathlib import Path
import numpy as np
from pipelines.data.images.resize import cropped, flipped, resized

def load():
    before = len(list(Path("/proc/self/task").iterdir()))
    for box in [(0, 0, 600, 400), (20, 30, 320, 330)]:
        flipped(resized(cropped(np.zeros((400, 600, 3), np.uint8), box), 224, 224))
    print(len(list(Path("/proc/self/task").iterdir())) - before)

thread = threading.Thread(target=load)
thread.start()
thread.join()
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_a_loading_thread_starts_no_threads_of_its_own() -> None:
    """Where torch works in parallel, each thread that loads would come with a team that spins beside it."""
    root = Path(__file__).parents[3]
    environment = {**os.environ, "OMP_NUM_THREADS": "4", "PYTHONPATH": f"{root}/platform:{root}"}
    ran = subprocess.run(
        [sys.executable, "-c", LOADING], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "0\n"


def test_what_is_decoded_can_be_resized_whole() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (5, 4), (9, 8, 7)).save(stream, "PNG")
    assert (resized(decode(stream.getvalue(), "it"), 8, 8) == (9, 8, 7)).all()

"""Every recipe at laptop scale, by the command a person would type: it trains, is on record, and has learned.

One seed each; bounds are far below what was seen, and far above what knows nothing of its inputs reaches.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from lab import Settings, catalog
from lab.tracking.mlflow import MlflowTracker
from lab.tracking.tracker import Status
from pipelines.data import EventClips

ROOT = Path(__file__).parents[2]
IMAGES = [name for name in catalog.experiments() if name.startswith("imagenet.")]
CLOUDS = [name for name in catalog.experiments() if name.startswith("modelnet40.")]
CLIPS = [name for name in catalog.experiments() if name.startswith("audioset.")]
CHANCE = 0.1
"""top-1 of a guess: digits and MeshZoo have ten classes of about equal size"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

Result = Callable[[str], float]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of its own with the stand-ins prepared."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("digits", "meshzoo", "eventclips"):
        lab(folder, "data", "prepare", name)
    return folder


@pytest.fixture(scope="module")
def result(home: Path) -> Result:
    """Name -> top-1 or mAP of the test split, of the run on record; trained when it is first asked for."""
    settings = Settings.load({"LAB_HOME": str(home / ".lab")})

    @cache
    def trained(name: str) -> float:
        lab(home, "train", name, "--workers", "1")
        digest = catalog.experiment(name, "laptop").digest
        run = MlflowTracker(settings).find([digest])[digest]
        assert run.status is Status.COMPLETE
        found = run.metrics["test/map" if name in CLIPS else "test/top1"]
        print(name, round(found, 3))
        return found

    return trained


def lab(home: Path, *words: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LAB_", "RAY_"))}
    done = subprocess.run(
        [sys.executable, "-m", "lab.cli", *words],
        cwd=home,
        env=clean | {"PYTHONPATH": f"{ROOT}/platform:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(set(IMAGES) - {"imagenet.no_positions"}))
def test_images_are_learned(result: Result, name: str) -> None:
    assert result(name) > 0.7


def test_a_bag_of_pixels_is_a_guess(result: Result) -> None:
    assert result("imagenet.no_positions") < 2 * CHANCE


@pytest.mark.parametrize("name", sorted(CLOUDS))
def test_point_clouds_are_learned(result: Result, name: str) -> None:
    assert result(name) > 4 * CHANCE


@pytest.mark.parametrize("rival", ["vit4", "vit8", "vit16", "resnet"])
def test_models_of_images_lose_to_the_perceiver_on_points_in_a_random_grid(
    result: Result, rival: str
) -> None:
    assert result("modelnet40.perceiver") > result(f"modelnet40.{rival}")


def prior(home: Path) -> float:
    """mAP of one score for all clips: how common each class is in the test split, on average."""
    source = EventClips(video=None).open(str(home / ".lab" / "data"))
    batches = list(source.scan("test", batch_size=100))
    positives = sum((batch.targets * batch.weights[:, None]).sum(0) for batch in batches)
    return float((positives / source.size("test")).mean())


@pytest.mark.parametrize("name", sorted(CLIPS))
def test_sound_and_video_are_learned(result: Result, home: Path, name: str) -> None:
    assert result(name) > prior(home) + 0.2


@pytest.mark.parametrize("sound", ["raw", "mel"])
def test_sound_and_video_together_beat_either(result: Result, sound: str) -> None:
    alone = max(result(f"audioset.{sound}"), result("audioset.video"))
    assert result(f"audioset.{sound}_video") > alone + 0.02

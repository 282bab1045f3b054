"""docs/extending.md, followed to the letter."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from lab.cli import build_parser

ROOT = Path(__file__).parents[2]
RECIPES = (ROOT / "docs" / "extending.md").read_text()


def lab(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lab.cli", *words],
        cwd=home,
        env=os.environ | {"PYTHONPATH": f"{ROOT}/platform:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with the files that the page tells a person to write."""
    for block in re.findall(r"```python\n(.*?)```", RECIPES, flags=re.DOTALL):
        name = re.match(r"# (\w+\.py)\n", block)
        assert name, "every block of code names its file"
        (tmp_path / name[1]).write_text(block)
    return tmp_path


def test_the_experiment_of_the_page_is_half_as_wide(desk: Path) -> None:
    shown = lab(desk, "show", "./narrow.py::half_width", "--scale", "paper")
    assert re.search(r"model\.latent_channels +512\n", shown.stdout), shown.stderr


def test_a_flag_makes_the_same_experiment_as_the_file(desk: Path) -> None:
    written = lab(desk, "show", "./narrow.py::half_width", "--scale", "paper", "--json").stdout
    typed = lab(
        desk, "show", "imagenet.fourier", "--scale", "paper", "--json", "--model.latent-channels", "512"
    ).stdout
    assert written == typed != ""


def test_the_sweep_of_the_page_has_its_four_cases(desk: Path) -> None:
    planned = lab(desk, "sweep", "./bands.py", "--dry-run")
    assert planned.stdout.count("bands=") >= 4, planned.stderr
    assert "4 runs: 0 on record, 4 to run" in planned.stdout


def test_the_search_of_the_page_is_a_search(desk: Path) -> None:
    planned = lab(desk, "sweep", "./depth.py", "--dry-run")
    judged = "maximize validation/top1, minimize flops"
    assert f"depth: 16 trials, nsga2, {judged}" in planned.stdout, planned.stderr
    typed = lab(desk, "sweep", "./depth.py", "--dry-run", "--sampler", "grid", "--trials", "5")
    assert f"depth: 5 trials, grid, {judged}" in typed.stdout, typed.stderr


@pytest.fixture
def photos(desk: Path) -> Path:
    """The desk with twelve photographs of each of the page's flowers."""
    for label, kind in enumerate(("daisy", "rose", "tulip")):
        (desk / "photos" / kind).mkdir(parents=True)
        for number in range(12):
            picture = Image.new("RGB", (40, 36), (80 * label, 10 * number, 255 - 80 * label))
            picture.save(desk / "photos" / kind / f"{number}.jpg")
    return desk


FLOWERS = re.findall(r"^\$ lab (.*flowers\.py.*)$", RECIPES, flags=re.MULTILINE)


def test_the_images_of_the_page_are_prepared_and_shown(photos: Path) -> None:
    prepare, show, train = FLOWERS
    prepared, shown = lab(photos, *prepare.split()), lab(photos, *show.split())
    assert "flowers: prepared under" in prepared.stdout, prepared.stderr
    assert re.search(r"^  train +30 +3 of 3 +10$", shown.stdout, re.MULTILINE), shown.stdout + shown.stderr
    assert lab(photos, "show", *train.split()[1:]).returncode == 0


@pytest.mark.slow
def test_a_model_is_trained_on_the_images_of_the_page(photos: Path) -> None:
    prepare, _, train = FLOWERS
    lab(photos, *prepare.split())
    trained = lab(photos, *train.split())
    assert re.search(r"test/top1 +\d", trained.stdout), trained.stdout + trained.stderr


def test_every_command_of_the_page_is_a_command(desk: Path) -> None:
    for command in re.findall(r"^\$ lab (\w+)", RECIPES, flags=re.MULTILINE):
        assert lab(desk, command, "--help").returncode == 0


README = (ROOT / "README.md").read_text()


NEED_RUNS_OR_A_CLUSTER = {
    "audit", "compare", "doctor", "fill", "jobs", "pack", "submit", "ui", "verify",
}  # fmt: skip
"""only their words are looked at; what they do has tests of its own"""


def test_the_readme_has_no_blanks() -> None:
    assert "@@" not in README
    assert "make demo" in README.split("\n\n## ")[0]


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"^\$ lab (.*?)(?: *#.*)?$", README, flags=re.MULTILINE)))
)
def test_every_command_of_the_readme_is_understood(tmp_path: Path, command: str) -> None:
    verb, *words = shlex.split(command)
    if verb in NEED_RUNS_OR_A_CLUSTER:
        known, rest = build_parser().parse_known_args([verb, *words])
        assert not rest
        assert known.function == verb
        return
    if verb == "train":
        done = lab(
            tmp_path, "show", *re.sub(r"--(workers|gpus|micro-batch) \S+", "", " ".join(words)).split()
        )
    elif verb == "sweep":
        done = lab(tmp_path, "sweep", *words, "--dry-run")
    elif verb == "data" and words[0] != "list":
        from lab import catalog

        assert words[1] in catalog.datasets()
        return
    else:
        done = lab(tmp_path, verb, *words)
    assert done.returncode == 0, done.stderr

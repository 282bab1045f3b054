"""What travels with a job, and what stays."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab import parcel
from lab.errors import SpecError, UnknownName
from lab.settings import Settings


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for package in ("platform/lab", "perceiver", "pipelines", "sweeps"):
        (root / package).mkdir(parents=True)
        (root / package / "code.py").write_text("x = 1\n")
    (root / "pyproject.toml").write_text("[project]\n")
    (root / "constraints.txt").write_text("ray==2.60.0\n")
    (root / ".gitignore").write_text("secret.env\n*.ckpt\n")
    for junk in (
        ".venv/lib/torch.py",
        "secret.env",
        "weights.ckpt",
        "results/data/shard.parquet",
        "results/record.db",
    ):
        (root / junk).parent.mkdir(parents=True, exist_ok=True)
        (root / junk).write_text("junk")
    (root / ".venv/.gitignore").write_text("*\n")  # as python -m venv writes it
    return root


def travels(
    project: Path, tmp_path: Path, words: tuple[str, ...] = (), cwd: Path | None = None, home: str = "results"
):
    into = tmp_path / "parcel"
    into.mkdir()
    settings = Settings.load({}, home=project / home)
    packed = parcel.pack(words, into, settings, project=project, cwd=cwd or project)
    return packed, {str(file.relative_to(into)) for file in into.rglob("*") if file.is_file()}


def in_git(project: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    subprocess.run(["git", "add", "platform"], cwd=project, check=True)


@pytest.mark.parametrize("git", [True, False])
def test_code_travels_and_data_checkpoints_and_what_git_ignores_stay(
    project: Path, tmp_path: Path, monkeypatch, git: bool
) -> None:
    monkeypatch.setenv("LAB_HOME", str(project / "results"))
    if git:
        in_git(project)
    _, names = travels(project, tmp_path)
    code = {f"{package}/code.py" for package in ("platform/lab", "perceiver", "pipelines", "sweeps")}
    assert names - {".gitignore"} == code | {"pyproject.toml", "constraints.txt"}


def test_a_file_deleted_but_not_committed_does_not_travel(project: Path, tmp_path: Path) -> None:
    in_git(project)
    (project / "platform/lab/code.py").unlink()
    assert "platform/lab/code.py" not in travels(project, tmp_path)[1]


def test_a_persons_own_file_travels_from_wherever_it_lies(project: Path, tmp_path: Path) -> None:
    in_git(project)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.py").write_text("y = 2\n")
    packed, names = travels(project, tmp_path, ("train", "./mine.py::narrow", "--seed", "1"), cwd=elsewhere)
    assert f"{packed.folder}/mine.py" in names
    assert packed.words == ("train", "./mine.py::narrow", "--seed", "1")


def test_a_command_given_in_a_folder_of_the_project_is_given_there_on_the_cluster(
    project: Path, tmp_path: Path
) -> None:
    in_git(project)
    (project / "mine").mkdir()
    (project / "mine/own.py").write_text("y = 2\n")
    packed, names = travels(project, tmp_path, ("sweep", "own.py"), cwd=project / "mine")
    assert (packed.folder, packed.words) == ("mine", ("sweep", "./own.py"))
    assert "mine/own.py" in names


def test_the_lock_is_that_of_constraints_txt(project: Path, tmp_path: Path) -> None:
    summed = subprocess.run(
        ["sha256sum", project / "constraints.txt"], capture_output=True, text=True, check=True
    )
    assert travels(project, tmp_path)[0].lock == summed.stdout[:12]


def test_a_heavy_file_is_named_with_the_way_out(project: Path, tmp_path: Path) -> None:
    in_git(project)
    with (project / "sweeps/model.bin").open("wb") as file:
        file.truncate(120_000_000)
    with pytest.raises(
        SpecError, match=r"120 MB, 100 is the most: sweeps/model.bin .* list it in .gitignore"
    ):
        travels(project, tmp_path)


def test_a_missing_file_and_a_project_without_sources_are_refused(project: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"no file nowhere\.py"):
        travels(project, tmp_path, ("train", "nowhere.py::narrow"))
    with pytest.raises(UnknownName, match="jobs are submitted from the project's repository"):
        parcel.pack((), tmp_path / "x", Settings.load({}), project=tmp_path)

"""Which code made a run is asked of the repository that holds the code, wherever the command is given."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab.tracking import provenance as provenance_module
from lab.tracking.provenance import provenance


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def repository(folder: Path) -> Path:
    """A repository with a package `lab` under platform/; its path."""
    code = folder / "platform" / "lab"
    code.mkdir(parents=True)
    (code / "__init__.py").touch()
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "__init__.py").touch()
    (folder / "README").write_text("one")
    (folder / ".gitignore").write_text(".venv\n")
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    return code


def said(code: Path) -> tuple[str, str]:
    provenance.cache_clear()
    tags = provenance(code)
    assert tags["mlflow.source.git.commit"] == tags["commit"]
    return tags["commit"], tags["dirty"]


def test_the_commit_is_that_of_the_code_and_not_of_the_folder_one_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = repository(tmp_path / "ours")
    theirs = tmp_path / "theirs"
    repository(theirs)
    monkeypatch.chdir(theirs)
    monkeypatch.setenv("GIT_DIR", str(theirs / ".git"))
    head = (tmp_path / "ours" / ".git" / "refs" / "heads" / "main").read_text().strip()
    assert said(code) == (head, "false")


def test_by_default_it_is_the_code_of_this_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(tmp_path / "theirs")
    monkeypatch.chdir(tmp_path / "theirs")
    provenance.cache_clear()
    assert provenance() == provenance(Path(provenance_module.__file__).parents[1])
    assert provenance()["commit"] != git(tmp_path / "theirs", "rev-parse", "HEAD")


def test_code_outside_git_is_of_an_unknown_commit(tmp_path: Path) -> None:
    assert said(tmp_path) == ("unknown", "unknown")


def test_a_copy_installed_inside_another_repository_is_not_of_its_commit(tmp_path: Path) -> None:
    repository(tmp_path)
    installed = tmp_path / ".venv" / "lib" / "lab"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    assert said(installed) == ("unknown", "unknown")


@pytest.mark.parametrize(
    ("path", "dirty"),
    [
        ("README", "true"),  # changed
        ("pipelines/new.py", "true"),
        ("pipelines/deep/new.py", "true"),
        ("platform/lab/train/new.py", "true"),
        ("pipelines/notes.txt", "false"),
        ("scratch.py", "false"),  # in no package
        (".venv/pipelines/new.py", "false"),  # ignored
    ],
)
def test_changed_files_and_new_code_are_dirty_and_what_is_no_code_is_not(
    tmp_path: Path, path: str, dirty: str
) -> None:
    code = repository(tmp_path)
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text("two")
    assert said(code)[1] == dirty

"""What of this machine travels with a job: the code, without what git ignores, data, or checkpoints."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import SpecError, UnknownName
from lab.settings import Settings
from lab.tracking.provenance import CODE

PACKAGES = ("platform", "perceiver", "pipelines", "sweeps")
LOCK = "constraints.txt"
MANIFESTS = ("pyproject.toml", LOCK)
HEAVIEST = 100_000_000
"""bytes; Ray refuses at five times as much"""
OWN = "own"
"""where files of a person go that lie outside the project"""


@dataclass(frozen=True)
class Parcel:
    """words: the command, its files where they lie in the parcel · folder: where in it the command is given ·
    lock: of constraints.txt"""

    words: tuple[str, ...]
    folder: str
    lock: str


def pack(
    words: Sequence[str], into: Path, settings: Settings, project: Path | None = None, cwd: Path | None = None
) -> Parcel:
    """Copy the project at `project` (default: the one this code is of) into the empty folder `into`, with the
    Python files that `words` name.

    Raises UnknownName where the project's sources are not there or a file is not, SpecError where the parcel
    is too heavy.
    """
    project, cwd = project or CODE.parents[1], cwd or Path.cwd()
    if missing := [name for name in (*PACKAGES, *MANIFESTS) if not (project / name).exists()]:
        raise UnknownName(
            f"no {missing[0]} in {project}: jobs are submitted from the project's repository, so install it "
            "with `make install` or `pip install -e`."
        )
    for file in _files(project, _places(settings)):
        target = into / file.relative_to(project)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    inside = cwd.is_relative_to(project)
    folder = into / cwd.relative_to(project) if inside else into / OWN
    folder.mkdir(parents=True, exist_ok=True)
    travelling = tuple(_with_file(word, cwd, folder) for word in words)
    _require_light(into)
    lock = hashlib.sha256((project / LOCK).read_bytes()).hexdigest()[:12]
    return Parcel(travelling, str(folder.relative_to(into)), lock)


def _files(project: Path, places: Sequence[Path]) -> Iterator[Path]:
    """What git holds or would take, where there is git; else the packages. Never what lies in `places`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=project, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        found = [project / name for name in listed.stdout.split("\0") if name]
    else:
        found = [project / name for name in MANIFESTS]
        found += [file for package in PACKAGES for file in (project / package).rglob("*.py")]
    for file in found:
        if file.is_file() and not any(file.is_relative_to(place) for place in places):
            yield file


def _places(settings: Settings) -> list[Path]:
    """Folders of this machine in which runs keep things."""
    home = Path(os.environ.get("LAB_HOME", ".lab")).absolute()
    return [home, *(Path(p) for p in (settings.data, settings.storage, settings.artifacts) if "://" not in p)]


def _with_file(word: str, cwd: Path, folder: Path) -> str:
    """A word that names a Python file (`./mine.py::narrow`), with that file put into the parcel."""
    path, colons, function = word.partition("::")
    if not path.endswith(".py"):
        return word
    file = (cwd / path).resolve()
    if not file.is_file():
        raise UnknownName(f"no file {path}: give the path of a Python file, or a name from `lab list`.")
    outside = Path(path).is_absolute() or ".." in Path(path).parts
    target = folder / (file.name if outside else path)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
    return f"./{target.relative_to(folder)}{colons}{function}"


def _require_light(folder: Path) -> None:
    sizes = {file: file.stat().st_size for file in folder.rglob("*") if file.is_file()}
    if (total := sum(sizes.values())) > HEAVIEST:
        largest = max(sizes, key=lambda file: sizes[file])
        raise SpecError(
            f"the code to send has {total / 1e6:.0f} MB, {HEAVIEST / 1e6:.0f} is the most: "
            f"{largest.relative_to(folder)} alone has {sizes[largest] / 1e6:.0f} MB; list it in .gitignore."
        )

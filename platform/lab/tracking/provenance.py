"""Which code is running: the commit, and whether the working tree differs from it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

UNKNOWN = "unknown"
CODE = Path(__file__).parents[1]
"""the package `lab`, whose repository is the one that counts, wherever a command is given"""
_REDIRECTIONS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")


def is_dirty(tags: Mapping[str, str]) -> bool:
    """Whether a run was made with changes that no commit holds."""
    return tags.get("dirty", "").lower() in {"1", "true", "yes"}


def is_nobodys(tags: Mapping[str, str]) -> bool:
    """Whether it is not known what code a run was made with."""
    return UNKNOWN in {tags.get("commit") or UNKNOWN, tags.get("dirty", "")}


def distrusted(tags: Mapping[str, str]) -> str:
    """Why a run with these tags can be no result; "" where nothing is wrong with its code."""
    if is_dirty(tags):
        return "it was made with uncommitted changes in the code"
    return "its code is in no commit that is known" if is_nobodys(tags) else ""


@cache
def provenance(code: Path = CODE) -> dict[str, str]:
    """The tags `commit` (40 hex digits) and `dirty` (`true` or `false`) of the repository that holds the
    package at `code`; both `unknown` where none does, as for an installed copy inside some other one.

    Dirty is any change of what git holds, and any Python file in a package that git has not been told of.
    """
    init = "__init__.py"
    top = _git("rev-parse", "--show-toplevel", at=code)
    commit = (
        _git("rev-parse", "HEAD", at=code) if _git("ls-files", "--error-unmatch", init, at=code) else None
    )
    if not top or not commit:
        # On a cluster there is no repository: whoever submitted the job said what its code is.
        commit, dirty = os.environ.get("LAB_COMMIT", UNKNOWN), os.environ.get("LAB_DIRTY", UNKNOWN)
        return {"commit": commit, "dirty": dirty, "mlflow.source.git.commit": commit}
    root = Path(top)
    changes = _git("status", "--porcelain", "--untracked-files=no", at=root)
    unknown = _git("ls-files", "--others", "--exclude-standard", "-z", "--", "*.py", at=root)
    if changes is None or unknown is None:
        dirty = UNKNOWN
    else:
        paths = [root / name for name in unknown.split("\0") if name]
        dirty = str(bool(changes) or any(_in_a_package(path, root) for path in paths)).lower()
    return {"commit": commit, "dirty": dirty, "mlflow.source.git.commit": commit}


def _in_a_package(path: Path, root: Path) -> bool:
    folders = [folder for folder in path.parents if folder.is_relative_to(root)]
    return any((folder / "__init__.py").exists() for folder in folders)


def _git(*words: str, at: Path) -> str | None:
    """What git says, None where it refuses. A hook's own redirections do not reach it."""
    environment = {name: value for name, value in os.environ.items() if name not in _REDIRECTIONS}
    try:
        done = subprocess.run(
            ["git", *words], cwd=at, env=environment, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

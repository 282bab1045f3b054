"""Which code is running: the commit, and whether the working tree differs from it."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path


@cache
def provenance(folder: Path | None = None) -> dict[str, str]:
    """The tags `commit` (40 hex digits) and `dirty` (`true` or `false`); empty where the code is not under
    git."""
    commit = _git("rev-parse", "HEAD", folder=folder)
    if commit is None:
        return {}
    changes = _git("status", "--porcelain", "--untracked-files=no", folder=folder)
    return {"commit": commit, "dirty": str(bool(changes)).lower(), "mlflow.source.git.commit": commit}


def _git(*words: str, folder: Path | None) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

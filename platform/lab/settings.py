"""Where things are: tracking, checkpoints, data. Never part of an experiment's identity.

Each setting is taken from its environment variable, else from its default under `.lab/` in the working
directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from lab.retention import Retention


@dataclass(frozen=True)
class Settings:
    """tracking: an MLflow tracking URI (LAB_TRACKING) · artifacts: where the embedded record keeps files ·
    storage: checkpoints, a path or URI every worker can reach (LAB_STORAGE) · data: prepared shards
    (LAB_DATA) · experiment: the MLflow experiment (LAB_EXPERIMENT) · ray: address of a cluster, None for a
    local one (RAY_ADDRESS) · retention: which checkpoints of a run are kept (LAB_KEEP)"""

    tracking: str
    artifacts: str
    storage: str
    data: str
    experiment: str = "perceiver"
    ray: str | None = None
    retention: Retention = field(default_factory=Retention)

    @classmethod
    def load(cls, environment: Mapping[str, str] = os.environ, home: Path | None = None) -> Self:
        """Settings from the environment. `home` (LAB_HOME) defaults to `.lab` in the working directory.
        Raises SpecError."""
        home = (home or Path(environment.get("LAB_HOME", ".lab"))).absolute()
        return cls(
            tracking=environment.get("LAB_TRACKING", f"sqlite:///{home}/record.db"),
            artifacts=environment.get("LAB_ARTIFACTS", str(home / "artifacts")),
            storage=environment.get("LAB_STORAGE", str(home / "checkpoints")),
            data=environment.get("LAB_DATA", str(home / "data")),
            experiment=environment.get("LAB_EXPERIMENT", "perceiver"),
            ray=environment.get("RAY_ADDRESS") or None,
            retention=Retention.parse(environment.get("LAB_KEEP") or "2"),
        )

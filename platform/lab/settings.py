"""Where things are: tracking, checkpoints, data. Never part of an experiment's identity.

Each setting is taken from its environment variable, else from its default under `.lab/` in the working
directory."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from lab.errors import SpecError
from lab.retention import Retention

PATIENCE_SECONDS = 300.0
"""Ray's own half an hour is how long a cut cable would go unnoticed"""


@dataclass(frozen=True)
class Settings:
    """tracking: an MLflow tracking URI (LAB_TRACKING) · artifacts: where the embedded record keeps files ·
    storage: checkpoints, a path or URI every worker can reach (LAB_STORAGE) · data: prepared shards
    (LAB_DATA) · experiment: the MLflow experiment (LAB_EXPERIMENT) · ray: address of a cluster, None for a
    local one (RAY_ADDRESS) · patience: seconds that a worker, or the tracking server, may be silent before a
    run no longer waits for it (LAB_PATIENCE) · retention: which checkpoints of a run are kept (LAB_KEEP)"""

    tracking: str
    artifacts: str
    storage: str
    data: str
    experiment: str = "perceiver"
    ray: str | None = None
    patience: float = PATIENCE_SECONDS
    retention: Retention = field(default_factory=Retention)

    def __post_init__(self) -> None:
        if not 0 < self.patience < math.inf:
            raise SpecError(f"LAB_PATIENCE is a number of seconds, more than 0, got {self.patience:g}.")

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
            patience=_seconds(environment.get("LAB_PATIENCE") or str(PATIENCE_SECONDS)),
        )


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SpecError(f"LAB_PATIENCE is a number of seconds, more than 0, got {text!r}.") from None

"""With what an experiment runs. Never part of its identity."""

from __future__ import annotations

from dataclasses import dataclass, field

from lab.errors import SpecError
from lab.execution import Execution


@dataclass(frozen=True)
class Resources:
    """workers: training processes per run · cpus, gpus: per worker (fractions share a device) · concurrent:
    runs of a sweep at a time, None for as many as fit · execution: how each of them carries out its steps ·
    min_workers: what a run makes do with while there is no room for `workers`, None for nothing less; it is
    started again, from its checkpoint, when the room changes"""

    workers: int = 1
    cpus: float = 1
    gpus: float = 0
    concurrent: int | None = None
    execution: Execution = field(default_factory=Execution)
    min_workers: int | None = None

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise SpecError(f"--workers must be 1 or more, got {self.workers}.")
        if self.min_workers is not None and not 1 <= self.min_workers <= self.workers:
            raise SpecError(f"--min-workers must be 1 to --workers ({self.workers}), got {self.min_workers}.")
        if self.cpus < 0 or self.gpus < 0:
            raise SpecError(f"resources must be 0 or more, got cpus={self.cpus} gpus={self.gpus}.")
        if self.concurrent is not None and self.concurrent < 1:
            raise SpecError(f"--concurrent must be 1 or more, got {self.concurrent}.")

    @property
    def several(self) -> bool:
        """Whether a run is trained by a worker group, which may come down to one."""
        return self.workers > 1

    @property
    def fewest(self) -> int:
        """The workers without which a run does not begin."""
        return self.workers if self.min_workers is None else self.min_workers

    def require_room(self, cpus: int) -> None:
        """Raises SpecError if one run needs more CPUs than the only machine there is has: it would wait for
        ever."""
        if (needed := self.fewest * self.cpus) > cpus:
            raise SpecError(
                f"{self.fewest} workers of {self.cpus:g} CPUs need {needed:g}, this machine has {cpus}: "
                "lower --workers or --cpus (a fraction shares a CPU)."
            )

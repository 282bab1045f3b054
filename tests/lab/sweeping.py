"""A command that runs a sweep over toys, as a process of its own: to be killed, repeated and run twice at
once.

    python -m tests.lab.sweeping HOME '{"kind": "ablation", "cases": 4, "steps": 50}'
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab import Ablation, Asha, Case, Evaluation, Resources, Search, Settings, Steps, Suggest
from lab.errors import LabError
from lab.sweep import Sweep
from tests.lab.toy import ToyModel, toy_spec


def space(suggest: Suggest) -> Mapping[str, Any]:
    return {
        "optimizer.lr": suggest.real("optimizer.lr", 1e-4, 1e-1, log=True),
        "model": ToyModel(hidden=suggest.integer("model.hidden", 2, 32, log=True)),
        "batch_size": suggest.choice("batch_size", [7, 10]),
    }


def sweep_of(
    kind: str, *, cases: int = 4, steps: int = 21, seeds: int = 1, every: int = 7, **more: Any
) -> Sweep:
    base = toy_spec(duration=Steps(steps), evaluation=Evaluation(every=Steps(every), batch_size=8))
    if kind == "search":
        pruning = Asha(1, 2) if more.pop("prune", False) else None
        return Search("toys", "laptop", base, space, trials=cases, pruning=pruning, **more)
    varied = tuple(
        Case(f"hidden {n + 2}", base.override({"model": ToyModel(hidden=n + 2)})) for n in range(cases)
    )
    return Ablation(more.pop("name", "toys"), "laptop", varied, seeds=tuple(range(seeds)))


def main(home: str, options: dict[str, Any]) -> int:
    from lab.run import run_sweep
    from lab.tracking.mlflow import MlflowTracker

    begun = time.monotonic()
    workers = options.pop("workers", 1)
    concurrent = options.pop("concurrent", None)
    settings = Settings.load({}, Path(home))
    resources = Resources(workers=workers, cpus=0.5, concurrent=concurrent)
    try:
        run_sweep(
            sweep_of(**options), resources=resources, settings=settings, tracker=MlflowTracker(settings)
        )
    except LabError as mistake:
        print(f"{type(mistake).__name__}: {mistake}")
        return 2
    print(f"{time.monotonic() - begun:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], json.loads(sys.argv[2])))

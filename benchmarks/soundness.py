"""What must hold of the record of `benchmarks.soak`, and what does not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks import soaked


def record(database: Path) -> dict[str, dict[str, Any]]:
    """Digest -> chain and values, of the runs that are complete."""
    from lab import Settings
    from lab.tracking.mlflow import MlflowTracker

    tracker = MlflowTracker(Settings.load({"LAB_TRACKING": f"sqlite:///{database}"}, database.parent))
    found = {}
    for run in tracker.runs():
        names = [name for name in run.metrics if not name.startswith("pace/")]
        found[run.digest] = {
            "status": str(run.status),
            "chain": run.tags.get("chain"),
            "values": {name: [list(pair) for pair in tracker.history(run.run_id, name)] for name in names},
        }
    return found


def faults(home: Path, trials: int) -> list[str]:
    """What does not hold of what is on record, in words."""
    with closing(sqlite3.connect(home / "server.db")) as database:
        ask = lambda words: database.execute(words).fetchall()  # noqa: E731
        counted = ask(
            "SELECT value, COUNT(*) FROM tags JOIN runs USING (run_uuid) "
            "WHERE key = 'lab.digest' AND lifecycle_stage = 'active' GROUP BY value"
        )
        left = ask("SELECT run_uuid FROM runs WHERE status = 'RUNNING' AND lifecycle_stage = 'active'")
        twice = ask("SELECT run_uuid, key, step FROM metrics GROUP BY 1, 2, 3 HAVING COUNT(*) > 1")
    found = []
    if len(counted) != trials:
        found.append(f"{len(counted)} distinct runs for {trials} trials")
    found += [f"{digest} is on record {count} times" for digest, count in counted if count > 1]
    found += [f"run {run} is RUNNING though nobody runs it" for (run,) in left]
    found += [f"run {run} has {metric} at step {step} more than once" for run, metric, step in twice]
    disturbed, whole = record(home / "server.db"), record(home / "undisturbed" / "record.db")
    found += [f"{digest} is on record after only one of the sweeps" for digest in set(disturbed) ^ set(whole)]
    evaluated = list(range(soaked.EVALUATE, soaked.STEPS + 1, soaked.EVALUATE))
    for digest, run in disturbed.items():
        steps = [step for step, _ in run["values"].get("validation/top1", [])]
        if steps != evaluated:
            found.append(f"{digest} was evaluated at {steps}, not at {evaluated}")
        for name in ("status", "chain", "values"):
            if run[name] != whole.get(digest, {}).get(name):
                found.append(f"{digest}: its {name} is not that of the undisturbed run")
    return found

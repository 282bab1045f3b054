"""What tables over many runs cost, beside MLflow's own way of reading them.

    python -m benchmarks.tables [--runs 10000 100000] [--folder FOLDER]

A synthetic record is written straight into a database of MLflow's (a run as a sweep leaves it: 22 tags, 24
parameters, 8 metrics with 5 points each), and read in three ways: a table that rests on some of its runs, one
that rests on every one of them, and `mlflow.search_runs` over the same record, up to 20,000 runs. Everything
is warm: each is done once before it is timed. Seconds are those of the clock, with those of the processor in
brackets: where other programs run beside it, only the latter tell.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import machine
from lab import Ablation, catalog
from lab.settings import Settings
from lab.tracking import layout
from lab.tracking.mlflow import MlflowTracker
from lab.tracking.tracker import membership
from pipelines.tables import assemble, render
from pipelines.tables.fill import fill
from pipelines.tables.table import Column, ResultsTable, Row, measure

SEEDS = 100
"""of a case of the large table"""
EXHIBIT = "table6"
STARTED = 1_700_000_000_000
METRICS = (
    "test/top1",
    "test/loss",
    "validation/top1",
    "validation/loss",
    "train/loss",
    "lr",
    "pace/steps",
    "pace/flops",
)
POINTS = 5
PARAMETERS = 24
POINT = "(run_uuid, key, value, timestamp, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)"
INSERTS = {
    "runs": "INSERT INTO runs (run_uuid, name, start_time, end_time, experiment_id, status, lifecycle_stage, "
    "artifact_uri, source_type, user_id) VALUES (?, ?, ?, ?, ?, 'FINISHED', 'active', '', 'UNKNOWN', '')",
    "tags": "INSERT INTO tags (run_uuid, key, value) VALUES (?, ?, ?)",
    "params": "INSERT INTO params (run_uuid, key, value) VALUES (?, ?, ?)",
    "latest_metrics": f"INSERT INTO latest_metrics {POINT}",
    "metrics": f"INSERT INTO metrics {POINT}",
}


def large(runs: int) -> Ablation:
    """A sweep of so many runs, `SEEDS` of each case."""
    base = catalog.sweep(EXHIBIT, "laptop")
    assert isinstance(base, Ablation)
    cases = tuple(
        replace(
            base.cases[0],
            label=f"case {n}",
            spec=base.cases[0].spec.override({"optimizer.lr": 1e-5 * (n + 1)}),
        )
        for n in range(-(-runs // SEEDS))
    )
    return Ablation("large", "laptop", cases, tuple(range(SEEDS)))


def table(sweep: Ablation) -> ResultsTable:
    """One row for each case, one measured cell in it."""
    rows = tuple(Row(case.label, (measure(sweep, case.label, "test/top1"),)) for case in sweep.cases)
    columns = (Column("top1", "Top-1", "higher"),)
    return ResultsTable("large", "Many runs", "", sweep.name, sweep.scale, "synthetic", columns, rows)


def write(home: Path, sweeps: list[Ablation], runs: int) -> int:
    """As many runs of these sweeps, in this order. How many were written."""
    tracker = MlflowTracker(Settings.load({}, home=home))
    numbers, written = random.Random(0), 0
    rows: dict[str, list[tuple[object, ...]]] = {name: [] for name in INSERTS}
    with sqlite3.connect(home / "record.db") as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for sweep in sweeps:
            member = layout.stored(membership(sweep.name, sweep.scale))
            for case, spec in sweep.specs():
                if written == runs:
                    break
                run, at = f"{numbers.getrandbits(128):032x}", STARTED + 1000 * written
                written += 1
                rows["runs"].append((run, case.label, at, at + 60_000, int(tracker._experiment_id)))
                tags = layout.identity(spec) | layout.written(
                    {"commit": "c" * 40, "dirty": "false", "fingerprint": "d" * 16, "chain": "e" * 64}
                )
                tags |= {
                    layout.STATUS: "complete",
                    layout.NAME: sweep.name,
                    layout.ATTEMPTS: "1",
                    member: case.label,
                }
                tags |= {layout.OWNER: "host:1:1", layout.BEAT: "1700000000.0", "lab.seconds.1": "60.000"}
                tags |= {f"mlflow.tag{n}": "x" * 20 for n in range(22 - len(tags))}
                rows["tags"] += [(run, key, value) for key, value in tags.items()]
                rows["params"] += [(run, f"model.field_{n}", str(n)) for n in range(PARAMETERS - 1)]
                rows["params"].append((run, layout.claim(1), layout.claimed("host:1:1", at / 1000)))
                for metric in METRICS:
                    points = [(run, metric, numbers.random(), at + step, step) for step in range(POINTS)]
                    rows["metrics"] += points
                    rows["latest_metrics"].append(points[-1])
                if written % 1000 == 0:
                    flush(connection, rows)
        flush(connection, rows)
    with sqlite3.connect(home / "record.db") as connection:
        connection.execute("ANALYZE")
    return written


def flush(connection: sqlite3.Connection, rows: dict[str, list[tuple[object, ...]]]) -> None:
    for name, waiting in rows.items():
        connection.executemany(INSERTS[name], waiting)
        waiting.clear()
    connection.commit()


def timed(call: Callable[[], object]) -> str:
    """`1.2 (1.1)`: seconds of the clock and of the processor, the second time it is called."""
    call()
    clock, processor = time.perf_counter(), time.process_time()
    call()
    return f"{time.perf_counter() - clock:.2f} ({time.process_time() - processor:.2f})"


def measured(home: Path, runs: int) -> Iterator[tuple[str, str]]:
    """What was done, and what it took."""
    small, many = catalog.sweep(EXHIBIT, "laptop"), large(runs)
    assert isinstance(small, Ablation)
    write(home, [small, many], runs)
    tracker = MlflowTracker(Settings.load({}, home=home))
    sweeps = {EXHIBIT: small}
    digests = len(list(small.specs()))
    yield (
        f"{EXHIBIT} over its {digests} runs of {runs:,} on record: read, judged and written",
        timed(lambda: render(assemble([EXHIBIT], tracker, sweeps), "md")),
    )
    whole = table(many)
    yield f"a table over all {runs:,}: specifications stated", timed(lambda: table(large(runs)))
    yield (
        f"a table over all {runs:,}: read, judged and written",
        timed(lambda: render(fill([whole], tracker), "md")),
    )
    if runs <= 20_000:
        import mlflow

        mlflow.set_tracking_uri(f"sqlite:///{home}/record.db")
        search = lambda: mlflow.search_runs(experiment_names=["perceiver"], max_results=runs)  # noqa: E731
        yield f"mlflow.search_runs over {runs:,}, as a data frame and nothing more", timed(search)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--folder", help="where the databases are made; default: a temporary one")
    arguments = parser.parse_args()
    print(f"{machine('cpu')}\n\n| | seconds, of the clock (of the processor) |\n|---|---|")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for runs in arguments.runs:
            for what, took in measured(Path(folder, str(runs)), runs):
                print(f"| {what} | {took} |", flush=True)


if __name__ == "__main__":
    main()

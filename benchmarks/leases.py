"""What it costs to keep leases alive: CPU of one renewal, by how many runs are under way.

    python -m benchmarks.leases [--runs 1 100 1000] [--record postgresql://...]

One owner begins so many runs in a new record and renews what it holds, as its recorder does every
`BEAT_SECONDS`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import machine
from benchmarks.soaked import Clusters, Tiny
from lab import AdamW, Constant, Evaluation, ExperimentSpec, Settings, Steps
from lab.tracking.lease import this_process
from lab.tracking.mlflow import MlflowTracker
from lab.tracking.recorder import BEAT_SECONDS

REPETITIONS = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, nargs="+", default=[1, 100, 1000])
    parser.add_argument("--record", help="a database or server of MLflow, emptied by nobody")
    arguments = parser.parse_args()
    spec = ExperimentSpec(
        model=Tiny(), data=Clusters(), optimizer=AdamW(lr=0.01), schedule=Constant(), duration=Steps(1),
        batch_size=10, evaluation=Evaluation(every=Steps(1), batch_size=60),
    )  # fmt: skip
    print(f"# One renewal, {machine('cpu')}\n\n| runs under way | CPU ms | of a core |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.load({}, Path(folder))
        if arguments.record:
            settings = replace(settings, tracking=arguments.record)
        tracker, owner, held = MlflowTracker(settings), this_process(), list[str]()
        for runs in sorted(arguments.runs):
            while len(held) < runs:
                one = spec.override({"seed": len(held)})
                held.append(tracker.begin(one, name="leases", owner=owner, tags={}).run_id)
            tracker.beat(held, owner)
            took = []
            for _ in range(REPETITIONS):
                before = time.process_time()
                assert tracker.beat(held, owner) == set()
                took.append(time.process_time() - before)
            cost = statistics.median(took)
            print(f"| {runs:,} | {1e3 * cost:.1f} | {100 * cost / BEAT_SECONDS:.2f} % |", flush=True)


if __name__ == "__main__":
    main()

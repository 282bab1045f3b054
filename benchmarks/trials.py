"""What a trial costs beside its training: sweeps of trials that do next to nothing.

    python -m benchmarks.trials [--trials 60] [--profile]

bare      Ray Tune alone: a function that returns at once, its process used again for the next trial
sweep     `lab sweep` over as many experiments of one step each, every one of them on record in MLflow as any
          other run is: lease, parameters, metrics, checkpoint, the chain of hashes
logging   what handing one step's values to the recorder takes of the training thread, as a share of a 50 ms
          step

One after the other in the same process and on the same Ray, `bare` before and after `sweep`, each from its
first trial that ended to its last: processes that start up are counted in neither. --profile also tells where
the time of a trial goes in the process that drives the sweep, by looking at its stack 200 times a second.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.measure import machine

STEP_SECONDS = 0.050
CALLS = 2000
LOOK_SECONDS = 0.005
STAGES = {
    ("tracking/mlflow.py", "begin"): "begin: one run, its claim, tags and parameters",
    ("tracking/mlflow.py", "end"): "end: status, time worked",
    ("tracking/mlflow.py", "find"): "look for the run: before it, and as it ended",
    ("tracking/mlflow.py", "log"): "the best so far, into the sweep's own run",
    ("tracking/mlflow.py", "tag"): "other tags",
    ("lab/origin.py", "origin"): "which code and which bytes",
    ("lab/cluster.py", "hold"): "wait for the recorder to take the run",
    ("lab/cluster.py", "release"): "wait for the recorder to write its values",
    ("lab/tune.py", "_turn"): "the desk: put trials down, hear of others",
    ("_internal/actor_manager.py", "next"): "wait for something to happen",
}
"""where a driver is -> what that is for; the innermost counts"""
REST = "Tune's own loop, and the rest"


class Looks(threading.Thread):
    """Counts what the main thread is at, some 200 times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen = Counter[str]()
        self.over = threading.Event()

    def run(self) -> None:
        main = threading.main_thread().ident or 0
        while not self.over.wait(LOOK_SECONDS):
            self.seen[stage(sys._current_frames()[main])] += 1

    def table(self, seconds: float) -> Iterator[str]:
        """seconds: of a trial"""
        yield "| a trial in the process that drives | ms |\n|---|---|"
        for name, count in self.seen.most_common():
            yield f"| {name} | {1e3 * seconds * count / self.seen.total():.1f} |"


def stage(frame: FrameType | None) -> str:
    """What the innermost function is for that is known by name."""
    while frame is not None:
        for (file, function), name in STAGES.items():
            if frame.f_code.co_name == function and frame.f_code.co_filename.endswith(file):
                return name
        frame = frame.f_back
    return REST


def bare(trials: int, concurrent: int) -> float:
    """Trials a second."""
    from ray import tune

    ended: list[float] = []

    class Ends(tune.Callback):
        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            ended.append(time.perf_counter())

    def nothing(config: dict[str, Any]) -> dict[str, float]:
        return {"value": 0.0}

    with tempfile.TemporaryDirectory() as folder:
        tune.Tuner(
            tune.with_resources(nothing, {"CPU": 1}),
            param_space={"number": tune.grid_search(list(range(trials)))},
            tune_config=tune.TuneConfig(reuse_actors=True, max_concurrent_trials=concurrent),
            run_config=tune.RunConfig(name="bare", storage_path=folder, verbose=0, callbacks=[Ends()]),
        ).fit()
    return (len(ended) - 1) / (ended[-1] - ended[0])


def sweep(trials: int, concurrent: int, home: Path, looks: Looks | None = None) -> float:
    """Trials a second. Raises unless every one of them is on record. looks: from the first that ended to the
    last."""
    from benchmarks.soaked import Clusters, Tiny
    from lab import Ablation, AdamW, Case, Constant, Evaluation, ExperimentSpec, Resources, Settings, Steps
    from lab.run import run_sweep
    from lab.tracking.mlflow import MlflowTracker
    from lab.tracking.tracker import Status

    spec = ExperimentSpec(
        model=Tiny(), data=Clusters(), optimizer=AdamW(lr=0.01), schedule=Constant(), duration=Steps(1),
        batch_size=10, evaluation=Evaluation(every=Steps(1), batch_size=60),
    )  # fmt: skip
    settings = Settings.load({}, home)
    ended: list[float] = []

    def progress(text: str) -> None:
        if " in " in text:
            ended.append(time.perf_counter())
            if looks is not None and len(ended) in (1, trials):
                looks.start() if len(ended) == 1 else looks.over.set()

    records = run_sweep(
        Ablation("trials", "laptop", (Case("tiny", spec),), seeds=tuple(range(trials))),
        resources=Resources(concurrent=concurrent), settings=settings, tracker=MlflowTracker(settings),
        progress=progress,
    )  # fmt: skip
    assert [record.status for record in records] == [Status.COMPLETE] * trials
    assert len(ended) == trials
    return (trials - 1) / (ended[-1] - ended[0])


def logging(home: Path) -> float:
    """Seconds of the training thread per step whose values are recorded by another process."""
    from functools import partial

    from lab import Settings, cluster
    from lab.tracking.memory import MemoryTracker
    from lab.tracking.tracker import Scalar

    recorder = cluster.recorder(partial(MemoryTracker), Settings.load({}, home))
    sink = recorder.sink("run")
    taken = []
    for step in range(CALLS):
        values = [Scalar(name, step, 0.5) for name in ("train/loss", "lr", *(f"pace/{n}" for n in range(6)))]
        begun = time.perf_counter()
        sink.log(values)
        sink.should_stop()
        taken.append(time.perf_counter() - begun)
        time.sleep(0.002)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--concurrent", type=int, default=2)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from lab import cluster  # before Ray
    from lab.resources import Resources
    from lab.settings import Settings

    print(machine("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with cluster.connected(Settings.load({}, home), Resources(), groups=False):
            before = bare(arguments.trials, arguments.concurrent)
            print(f"bare Ray Tune   {before:.1f} trials/s", flush=True)
            looks = Looks() if arguments.profile else None
            ours = sweep(arguments.trials, arguments.concurrent, home, looks)
            print(f"sweep on record {ours:.1f} trials/s", flush=True)
            after = bare(arguments.trials, arguments.concurrent)
            print(f"bare Ray Tune   {after:.1f} trials/s", flush=True)
            seconds = logging(home)
    tune = statistics.mean([before, after])
    print(f"bare Ray Tune   {before:.1f} and {after:.1f} trials/s")
    print(
        f"sweep on record {ours:.1f} trials/s, {100 * (tune / ours - 1):+.0f} % of the time of a bare trial"
    )
    print(f"logging         {1e6 * seconds:.0f} µs a step, {100 * seconds / STEP_SECONDS:.2f} % of 50 ms")
    for line in looks.table(1 / ours) if looks else ():
        print(line)


if __name__ == "__main__":
    main()

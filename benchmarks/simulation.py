"""A cluster of simulated nodes under the real scheduling and the real record: what control costs.

    python -m benchmarks.simulation        128 nodes of 8 GPUs, 10,000 runs, then 2,000 trials of a search
    python -m benchmarks.simulation --nodes 16 --runs 500 --trials 100
    python -m benchmarks.simulation --record postgresql://...       instead of SQLite in a temporary folder

Real are the sweeps, `lab.drive`, the search's suggestions, the recorder, the leases and MLflow's store; the
runs have their digests, tags, curves and metrics. Simulated are time, nodes and training: a run takes some
simulated hours, reports at each of ten evaluations, loses what is younger than its last one when its node
dies, and goes on elsewhere. Now and then the driver is killed, too, and the same command is given again: it
must find its way from the record alone.

Seconds in the tables are real ones of the one process that controls; of simulated ones are only the hours.
At the end the record is read back, and must hold every run exactly once, complete, at its last step.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.measure import machine
from lab import Ablation, Case, Resources, Search, Settings, Suggest, Tpe, catalog
from lab.agenda import AblationAgenda
from lab.drive import NO_MORE, Drive
from lab.search.agenda import SearchAgenda
from lab.sweep import Sweep
from lab.tracking.lease import this_process
from lab.tracking.mlflow import MlflowTracker
from lab.tracking.recorder import Recorder
from lab.tracking.tracker import Scalar, Status
from lab.trial import Work

EVALUATIONS = 10
STEPS_BETWEEN = 1000
MEDIAN_HOURS, SPREAD = 3.0, 0.5
"""of a run: log-normal"""
NODE_LIFE_HOURS = 24 * 20.0
"""mean time between two failures of one node"""
NODE_AWAY_HOURS = 0.25
OBJECTIVE = "validation/top1"
STAGES = ("propose", "log", "finish")


@dataclass(order=True)
class Happening:
    """Something at a time, in simulated hours."""

    hour: float
    order: int
    act: Callable[[], None] = field(compare=False)


@dataclass
class Slot:
    """A GPU of a node, and the trial that it trains."""

    node: int
    trial: str | None = None


class Stopwatch:
    """Real seconds by what they were spent on."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, list[float]] = defaultdict(list)

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.spent[what].append(time.perf_counter() - begun)


class Killed(Exception):
    """The driver, without a chance to say anything."""


class Cluster:
    """Nodes, and what happens on them, for one command; a killed command takes its trials with it."""

    def __init__(self, drive: Drive, recorder: Recorder, size: Size, dice: random.Random) -> None:
        self.drive, self.recorder, self.watch, self.dice = drive, recorder, Stopwatch(), dice
        nodes, gpus = range(size.nodes), range(size.gpus)
        self.free = [Slot(node) for node in nodes for _ in gpus]
        self.slots = {node: [slot for slot in self.free if slot.node == node] for node in nodes}
        self.agenda: list[Happening] = []
        self.hour, self.busy, self.deaths = 0.0, 0.0, 0
        self.ended = 0
        self._order, self._names = count(), count()
        self._life: dict[str, int] = defaultdict(int)
        """trial -> how often it was begun: what was to happen in an earlier life does not"""
        self._work: dict[str, tuple[Work, float, int]] = {}
        """trial -> its work, hours of an evaluation, evaluations it has reported"""
        for node in self.slots:
            self._after(self.dice.expovariate(1 / NODE_LIFE_HOURS), lambda node=node: self._dies(node))

    def run(self, until: int) -> None:
        """To the end of the sweep. Raises Killed when `until` trials have ended here."""
        closed = False
        while True:
            while self.free and not closed:
                name = str(next(self._names))
                with self.watch.on("propose"):
                    work = self.drive.propose(name)
                if work is None:
                    break
                if work == NO_MORE:
                    closed = True
                    break
                assert isinstance(work, Work)
                hours = self.dice.lognormvariate(0, SPREAD) * MEDIAN_HOURS / EVALUATIONS
                self._work[name] = work, hours, 0
                self._starts(name)
            if not self._work and closed:
                return
            if not self._work and not self.agenda:
                raise RuntimeError("nothing runs and nothing may be begun")
            happening = heapq.heappop(self.agenda)
            self.hour = happening.hour
            happening.act()
            if self.ended >= until:
                raise Killed

    def _after(self, hours: float, act: Callable[[], None]) -> None:
        heapq.heappush(self.agenda, Happening(self.hour + hours, next(self._order), act))

    def _starts(self, trial: str) -> None:
        slot = self.free.pop()
        slot.trial = trial
        self._life[trial] += 1
        self._goes_on(trial, slot, self._life[trial])

    def _goes_on(self, trial: str, slot: Slot, life: int) -> None:
        hours = self._work[trial][1]
        self._after(hours, lambda: self._evaluates(trial, slot, life))

    def _evaluates(self, trial: str, slot: Slot, life: int) -> None:
        if self._life[trial] != life or slot.trial != trial:
            return
        work, hours, done = self._work[trial]
        self.busy += hours
        done += 1
        self._work[trial] = work, hours, done
        step = done * STEPS_BETWEEN
        top1 = round(min(0.99, 0.5 + 0.04 * done + self.dice.gauss(0, 0.01)), 4)
        curve = [Scalar(name, step - part * 100, value) for part in range(5) for name, value in CURVE.items()]
        with self.watch.on("log"):
            work.sink.log([*curve, Scalar(OBJECTIVE, step, top1), Scalar("test/top1", step, top1)])
        if done < EVALUATIONS:
            self._goes_on(trial, slot, life)
            return
        with self.watch.on("finish"):
            self.drive.finish(trial, Status.COMPLETE, "")
        del self._work[trial]
        slot.trial, self.ended = None, self.ended + 1
        self.free.append(slot)

    def _dies(self, node: int) -> None:
        self.deaths += 1
        self.free = [slot for slot in self.free if slot.node != node]
        orphans = [slot.trial for slot in self.slots[node] if slot.trial is not None]
        for slot in self.slots[node]:
            slot.trial = None
        for trial in orphans:
            self._life[trial] += 1
            self._moves(trial)
        self._after(NODE_AWAY_HOURS, lambda: self._returns(node))

    def _moves(self, trial: str) -> None:
        """Elsewhere, as soon as there is room: before anything new is begun."""
        if self.free:
            self._starts(trial)
        else:
            self._after(0.05, lambda: self._moves(trial))

    def _returns(self, node: int) -> None:
        self.free += self.slots[node]
        self._after(self.dice.expovariate(1 / NODE_LIFE_HOURS), lambda: self._dies(node))


CURVE = {"train/loss": 1.0, "lr": 0.004, "pace/examples_per_second": 100.0, "pace/step_seconds": 0.1}


def ablation(runs: int) -> Ablation:
    """So many runs: learning rates with five seeds each."""
    base = catalog.experiment("imagenet.fourier", "laptop")
    cases = tuple(
        Case(f"lr {number}", base.override(changes := {"optimizer.lr": 1e-4 * (1 + number)}), changes)
        for number in range(runs // 5)
    )
    return Ablation("simulated", "laptop", cases, seeds=tuple(range(5)))


def space(suggest: Suggest) -> Mapping[str, Any]:
    return {
        "optimizer.lr": suggest.real("optimizer.lr", 1e-4, 1e-2, log=True),
        "model.num_latents": suggest.integer("model.num_latents", 8, 64),
    }


def search(trials: int) -> Search:
    base = catalog.experiment("imagenet.fourier", "laptop")
    return Search("simulated-search", "laptop", base, space, trials=trials, sampler=Tpe())


@dataclass(frozen=True)
class Size:
    """What is simulated. kills: of the driver, in each sweep."""

    nodes: int
    gpus: int
    kills: int
    seed: int


@dataclass
class Account:
    """What the lives of a command have come to. seconds, processor: real ones · spent: those by what they
    were spent on · restart: those of the last life before it could begin anything"""

    seconds: float = 0.0
    processor: float = 0.0
    restart: float = 0.0
    hours: float = 0.0
    busy: float = 0.0
    deaths: int = 0
    spent: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    def add(self, cluster: Cluster, restart: float, seconds: float) -> None:
        self.seconds, self.processor = self.seconds + seconds, self.processor + time.process_time()
        self.restart, self.deaths = restart, self.deaths + cluster.deaths
        self.hours, self.busy = self.hours + cluster.hour, self.busy + cluster.busy
        for stage in STAGES:
            self.spent[stage] += sum(cluster.watch.spent[stage])


def sweep_of(kind: str, runs: int) -> Sweep:
    return search(runs) if kind == "search" else ablation(runs)


def live(kind: str, runs: int, settings: Settings, size: Size, life: int, file: Path) -> None:
    """One command, in a process of its own: to the end of its sweep, or until it is killed. What it came to
    is added to the account in `file`."""
    begun, sweep, owner = time.perf_counter(), sweep_of(kind, runs), this_process()
    tracker = MlflowTracker(settings)
    parent = tracker.group(sweep.name, kind=kind, scale=sweep.scale, owner=owner)
    agenda = SearchAgenda(sweep, tracker, parent) if isinstance(sweep, Search) else AblationAgenda(sweep)
    drive = Drive(
        sweep, agenda, parent, resources=Resources(), settings=settings, tracker=tracker,
        say=lambda line: None,
    )  # fmt: skip
    drive.require_same_data()
    drive.anything_left()
    restart = time.perf_counter() - begun
    recorder = Recorder(lambda: MlflowTracker(settings), owner)
    drive.attach(recorder, size.nodes * size.gpus)
    cluster = Cluster(drive, recorder, size, random.Random(f"{size.seed}/{life}"))
    dies = life < size.kills
    try:
        cluster.run(runs // (size.kills + 1) if dies else 2 * runs)
    except Killed:
        dies = True
    else:
        drive.close()
        recorder.close()
        dies = False
    account = Account(**json.loads(file.read_text())) if file.exists() else Account()
    account.add(cluster, restart, time.perf_counter() - begun)
    file.write_text(json.dumps(vars(account)))
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)


def carried_out(kind: str, runs: int, settings: Settings, size: Size, folder: Path) -> None:
    """Print a row of the table, having checked the record."""
    file = folder / f"{kind}.json"
    for life in range(size.kills + 1):
        process = get_context("spawn").Process(target=live, args=(kind, runs, settings, size, life, file))
        process.start()
        process.join()
        if process.exitcode not in (0, -signal.SIGKILL):
            sys.exit(f"the driver ended with {process.exitcode}")
        if process.exitcode:
            print(f"the driver of the {kind} was killed; again", file=sys.stderr)
    require_whole(sweep_of(kind, runs), kind, settings)
    account = Account(**json.loads(file.read_text()))
    stages = " | ".join(f"{1e3 * account.spent[stage] / runs:.1f}" for stage in STAGES)
    busy = account.busy / max(account.hours * size.nodes * size.gpus, 1e-9)
    print(
        f"| {kind} | {runs:,} | {account.hours:,.1f} | {100 * busy:.0f} % | {account.deaths} | "
        f"{1e3 * account.seconds / runs:.1f} | {1e3 * account.processor / runs:.1f} | {stages} | "
        f"{account.restart:.1f} | {3600 * runs / account.seconds:,.0f} |",
        flush=True,
    )


def require_whole(sweep: Sweep, kind: str, settings: Settings) -> None:
    """Every run once, complete, at its last step, with one value per metric and step."""
    tracker = MlflowTracker(settings)
    if isinstance(sweep, Search):
        parent = tracker.group(sweep.name, kind=kind, scale=sweep.scale, owner=this_process())
        digests = {trial.digest for trial in SearchAgenda(sweep, tracker, parent).study.trials.values()}
    else:
        digests = {spec.digest for _, spec in sweep.specs()}
    runs = tracker.find(digests)
    assert runs.keys() == digests
    assert all(run.status is Status.COMPLETE for run in runs.values())
    assert len({run.run_id for run in runs.values()}) == len(digests)
    for run in random.Random(0).sample([*runs.values()], min(50, len(runs))):
        steps = [step for step, _ in tracker.history(run.run_id, OBJECTIVE)]
        assert steps == [STEPS_BETWEEN * (number + 1) for number in range(EVALUATIONS)], (run.digest, steps)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=128)
    parser.add_argument("--gpus", type=int, default=8, help="of each node")
    parser.add_argument("--runs", type=int, default=10_000, help="of an ablation")
    parser.add_argument("--trials", type=int, default=2_000, help="of a search with TPE")
    parser.add_argument("--kills", type=int, default=2, help="of the driver, in each sweep")
    parser.add_argument("--record", help="a database for MLflow, emptied by nobody")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"# {arguments.nodes} simulated nodes of {arguments.gpus} GPUs, {machine('cpu')}\n")
    print(
        "| sweep | runs | simulated hours | GPUs busy | nodes died | control, ms a run | of it CPU ms | "
        "propose | log | finish | last restart, s | runs an hour at most |\n" + "|---" * 12 + "|",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.load({}, Path(folder))
        if arguments.record:
            settings = replace(settings, tracking=arguments.record)
        catalog.dataset("digits").prepare(settings.data)
        size = Size(arguments.nodes, arguments.gpus, arguments.kills, arguments.seed)
        for kind, runs in {"ablation": arguments.runs, "search": arguments.trials}.items():
            carried_out(kind, runs, settings, size, Path(folder))


if __name__ == "__main__":
    main()

"""What a command would complete, and what that costs: asked by the queue of a head, of jobs that wait.

    python -m lab.commands.worth sweep table6 --scale paper      prints [cells, hours of devices]

A cell is a case of an ablation that lacks a run, the winner of a search, or one experiment. Its cost is the
likely time of the runs it lacks, by the record; of a kind of model that is not on record yet, the time at
which the whole record computed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from contextlib import suppress

from lab import catalog, codec
from lab.budget import devices
from lab.commands.plan import planned
from lab.commands.run import narrowed, wanted
from lab.errors import LabError
from lab.forecast import Forecast, operations, split_sizes
from lab.pricing import Pricing
from lab.settings import Settings
from lab.spec import ExperimentSpec
from lab.sweep import Ablation
from lab.tracking.tracker import Status, Tracker

UNKNOWN_SPEED = 1e12
"""operations per second where nothing is on record (assumed): what waits is then compared by operations"""
RECENT = 20
"""runs that tell how fast the machines are"""


def worth(words: Sequence[str], tracker: Tracker, settings: Settings) -> tuple[int, float]:
    """Cells and hours of devices of a `train` or `sweep`. Raises LabError."""
    from lab.cli import build_parser, dotted_changes

    known, rest = build_parser().parse_known_args(list(words))
    known.changes = dotted_changes(rest, allowed=known.takes_changes)
    known.scale = "/".join([known.scale, *(word.replace("=", ":") for word in known.reading or ())])
    resources = wanted(known)
    pricing = Pricing(tracker, settings, resources)
    lacking = _of_training(known, pricing) if words[0] == "train" else _of_sweep(known, pricing)
    cells = len(lacking) if words[0] == "train" or _ablates(known) else min(1, len(lacking))
    known_speed = all(each.seconds is not None for _, each in lacking)
    speed = UNKNOWN_SPEED if known_speed else _speed(tracker, settings)
    seconds = sum(runs * _seconds(each, speed, devices(resources)) for runs, each in lacking)
    return cells, seconds / 3600


def _ablates(known: argparse.Namespace) -> bool:
    return isinstance(catalog.sweep(known.name, known.scale), Ablation)


def _of_sweep(known: argparse.Namespace, pricing: Pricing) -> list[tuple[int, Forecast]]:
    items = planned(narrowed(catalog.sweep(known.name, known.scale), known), pricing)
    return [(item.todo, item.each) for item in items if item.todo]


def _of_training(known: argparse.Namespace, pricing: Pricing) -> list[tuple[int, Forecast]]:
    spec = codec.override(catalog.experiment(known.name, known.scale), known.changes, texts=True)
    spec = spec if known.seed is None else spec.override({"seed": known.seed})
    found = pricing.tracker.find([spec.digest]).get(spec.digest)
    done = found is not None and found.status is Status.COMPLETE
    return [] if done else [(1, pricing.forecast(spec))]


def _seconds(each: Forecast, speed: float, held: float) -> float:
    """Of devices: a run holds so many for as long as it takes; of what is not known, as if one did it all."""
    return held * each.seconds.likely if each.seconds is not None else each.operations / speed


def _speed(tracker: Tracker, settings: Settings) -> float:
    """Operations per second of what was completed last, whatever it was."""
    complete = [run for run in tracker.runs() if run.status is Status.COMPLETE and run.seconds > 0]
    rates = []
    for run in sorted(complete, key=lambda run: run.started)[-RECENT:]:
        with suppress(LabError):
            spec = codec.loads(ExperimentSpec, run.spec)
            rates.append(operations(spec, split_sizes(spec, settings.data)) / run.seconds)
    return statistics.geometric_mean(rates) if rates else UNKNOWN_SPEED


def main(words: Sequence[str]) -> int:
    from lab.tracking.mlflow import MlflowTracker

    settings = Settings.load()
    try:
        print(json.dumps(worth(words, MlflowTracker(settings), settings)))
    except LabError as unknown:
        print(f"lab: {' '.join(str(unknown).split())}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

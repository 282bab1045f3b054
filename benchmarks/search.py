"""A sampler that learns against random search, over latent size, depth, weight sharing and Fourier bands.

    python -m benchmarks.search [--sampler tpe] [--trials 20] [--pairs 5] [--steps 40] [--out FILE]

Both get the same number of trials, around the same base, on the digits. A pair shares its seed: of the
search, so that both begin with the same random trials, and of every training, so that a configuration that
both try scores the same and is trained once. What is compared is the best validation score of each search,
and then, since the best of many is partly the luckiest, its configuration on fresh seeds. Paired by seed,
with Student's interval at 95 %: above 0 throughout is better, below it worse, anything else undecided.

Scores are kept by digest in `--scores`, so that a repeated command goes on.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from benchmarks.measure import machine
from lab import Evaluation, ExperimentSpec, Random, Search, Settings, Steps
from lab.search import samplers
from lab.search.study import Study
from lab.search.suggest import Suggestion, again
from lab.search.trial import Trial
from lab.tracking.tracker import Scalar
from lab.train.group import Group
from lab.train.run import train
from perceiver import PerceiverConfig
from pipelines.tables.statistics import Estimate, paired
from sweeps.experiments import imagenet
from sweeps.scales import laptop
from sweeps.searches.perceiver import Space

SCORE = "validation/top1"
STARTUP = 5
FRESH = (1001, 1002, 1003)


@dataclass
class Scores:
    """What experiments scored, by digest; trained when first asked for."""

    path: Path
    known: dict[str, tuple[float, float]] = field(default_factory=dict)
    """digest -> (score, processor seconds)"""
    asked: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.path.exists():
            lines = map(json.loads, self.path.read_text().splitlines())
            self.known = {digest: (score, seconds) for digest, score, seconds in lines}

    def of(self, spec: ExperimentSpec) -> float:
        if spec.digest not in self.known:
            began = time.process_time()
            with tempfile.TemporaryDirectory() as folder:
                metrics = train(
                    spec,
                    data_root=Settings.load().data,
                    storage=folder,
                    sink=Nowhere(),
                    group=Group.alone(gpus=0),
                    checkpoint_every=1e9,
                )
            self.known[spec.digest] = metrics[SCORE], time.process_time() - began
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as lines:
                lines.write(json.dumps([spec.digest, *self.known[spec.digest]]) + "\n")
        self.asked.add(spec.digest)
        return self.known[spec.digest][0]

    @property
    def cpu_seconds(self) -> float:
        """Of every training that was asked for."""
        return sum(self.known[digest][1] for digest in self.asked)


class Nowhere:
    """A record that keeps nothing: the last values are all that is asked."""

    def log(self, scalars: Sequence[Scalar]) -> None: ...

    def flush(self) -> None: ...

    def keep(self, file: str, text: str, tags: Mapping[str, str]) -> None: ...


@dataclass(frozen=True)
class Found:
    """What one search came to. fresh: of its best configuration, the mean over seeds it had not chosen by"""

    best: float
    fresh: float
    flops: float
    choices: Mapping[str, object]


def stated(sampler: samplers.Sampler, seed: int, trials: int, steps: int) -> Search:
    """The project's own space, trained so briefly that hundreds of trials take minutes."""
    base = replace(
        laptop(imagenet.fourier()),
        duration=Steps(steps),
        evaluation=Evaluation(every=Steps(steps), splits=("validation",)),
        seed=seed,
    )
    assert isinstance(base.model, PerceiverConfig)
    return Search(
        "against-random", "laptop", base, Space(base.model), trials=trials, sampler=sampler, seed=seed
    )


def hunt(search: Search, scores: Scores) -> Found:
    """All trials of a search one after the other, each seeing all before it."""
    study, flops = Study(search), 0.0
    while (suggestion := study.ask()) is not None:
        spec = suggestion.spec(search)
        flops += spec.model.flops()
        ended = replace(suggestion.trial, digest=spec.digest).ended("complete", scores.of(spec))
        study.keep(ended)
    best = study.best
    assert best is not None
    winner = experiment(search, best)
    fresh = [scores.of(winner.override({"seed": seed})) for seed in FRESH]
    return Found(best.value or 0.0, sum(fresh) / len(fresh), flops, best.params)


def experiment(search: Search, trial: Trial) -> ExperimentSpec:
    return Suggestion(trial, again(search, trial)).spec(search)


def verdict(difference: Estimate) -> str:
    """`better`, `worse` or `undecided`, by whether the interval leaves out 0."""
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return "undecided"
    return "better" if difference.low > 0 else "worse"


def report(learning: Mapping[int, Found], random: Mapping[int, Found], name: str, trials: int) -> list[str]:
    """The table of the pairs and both comparisons, in percent."""
    lines = [
        f"| seed | best, {name} | best, random | fresh, {name} | fresh, random | FLOPs, {name} / random |",
        "|---|---|---|---|---|---|",
    ]
    for seed, one in learning.items():
        other = random[seed]
        shares = (
            f"{100 * one.best:.1f} | {100 * other.best:.1f} | {100 * one.fresh:.1f} | {100 * other.fresh:.1f}"
        )
        lines.append(f"| {seed} | {shares} | {one.flops / other.flops:.2f} |")
    lines.append("")
    for what in ("best", "fresh"):
        ours, theirs = ({s: 100 * getattr(f, what) for s, f in each.items()} for each in (learning, random))
        difference = paired(ours, theirs)
        assert difference is not None
        words = "best validation score" if what == "best" else "its configuration on fresh seeds"
        half = "no interval" if difference.half_width is None else f"± {difference.half_width:.2f}"
        lines.append(
            f"- {name} against random, {trials} trials each, {words}: {difference.mean:+.2f} points "
            f"({half}, n={difference.n}): **{verdict(difference)}**"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--sampler", choices=[name for name in samplers.SAMPLERS if name != "random"], default="tpe"
    )
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--scores", type=Path, default=Path(tempfile.gettempdir(), "lab-search-scores.jsonl"))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    sampler = samplers.named(given.sampler)
    if hasattr(sampler, "startup"):
        sampler = replace(sampler, startup=STARTUP)
    scores, learning, random = Scores(given.scores), {}, {}
    for seed in range(given.pairs):
        random[seed] = hunt(stated(Random(), seed, given.trials, given.steps), scores)
        learning[seed] = hunt(stated(sampler, seed, given.trials, given.steps), scores)
        print(
            f"seed {seed}: {given.sampler} {learning[seed].best:.3f}, random {random[seed].best:.3f}",
            flush=True,
        )
    command = f"python -m benchmarks.search --sampler {given.sampler} --trials {given.trials}"
    lines = [
        f"# {given.sampler} against random search",
        "",
        f"{given.trials} trials each of {given.steps} steps on the digits (laptop scale), {given.pairs} "
        f"paired seeds, `{sampler}`, the first {STARTUP} trials of a pair the same: "
        f"{len(scores.asked)} trainings, {scores.cpu_seconds:.0f} s of processor ({machine('cpu')}).",
        f"`{command} --pairs {given.pairs} --steps {given.steps}`",
        "",
        *report(learning, random, given.sampler, given.trials),
    ]
    print("\n".join(lines))
    if given.out:
        given.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

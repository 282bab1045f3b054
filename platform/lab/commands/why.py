"""`lab why`: why a run is used for something, or why nothing on record is."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import suppress

from lab import catalog, codec
from lab.commands.catalogue import words
from lab.commands.compare import one
from lab.commands.fill import located
from lab.errors import DataError, SpecError, UnknownName
from lab.origin import FINGERPRINT, require_same_data
from lab.settings import Settings
from lab.spec import ExperimentSpec
from lab.sweep import Ablation, Search
from lab.tracking.tracker import RunRecord, Status, Tracker

NEAREST = 3
"""runs that are told of where none is the one asked for"""
SHORTEST = 4
"""letters that may be the beginning of a digest"""


def why(arguments: argparse.Namespace) -> None:
    """Explain a run (by its digest or id, or the beginning of it), an experiment, an ablation, a case of it
    (`table6:label`, `./mine.py:label`), a cell of a table (`table6 / row / column`) or a search."""
    from lab.tracking.mlflow import MlflowTracker

    settings = Settings.load()
    tracker = MlflowTracker(settings)
    if arguments.name in catalog.sweeps() or arguments.name.endswith(".py"):
        sweep = catalog.sweep(arguments.name, arguments.scale)
        if isinstance(sweep, Search):
            print(*explained_search(sweep, tracker), sep="\n")
            return
    runs = tracker.runs()
    if begins(arguments.name, runs):
        lines = explained_run(one(arguments.name, runs), arguments.scale)
    else:
        lines = (
            line
            for label, spec in asked(arguments.name, arguments.scale)
            for line in explained(label, spec, runs, settings)
        )
    for line in lines:
        print(line)


def begins(name: str, runs: Sequence[RunRecord]) -> bool:
    """Whether that is the digest or id of a run, or long enough to be the beginning of one."""
    return len(name) >= SHORTEST and any(
        run.digest.startswith(name) or run.run_id.startswith(name) for run in runs
    )


def explained_search(search: Search, tracker: Tracker) -> Iterator[str]:
    """How a search has chosen, whether its recorded trials follow from that, and what it came to."""
    from lab.search.replay import replayed
    from lab.search.winners import told, tried, winners

    yield f"{search.name} at {search.scale} scale ({search.identity}): {search.sampler}, seed {search.seed}"
    parent = tracker.parent(search.name, kind="search", scale=search.scale)
    if parent is None:
        yield f"  not on record: `lab sweep {search.name}`"
        return
    again = replayed(search, parent)
    yield f"  {again.line()}"
    yield from told(search, winners(search, tracker), tried(search, tracker))


def asked(name: str, scale: str) -> list[tuple[str, ExperimentSpec]]:
    """What a name stands for: an experiment, or the seeds of one case, or of all. Raises UnknownName."""
    sweep_name, colon, label = name.partition(":")
    of_sweep = sweep_name in catalog.sweeps() or sweep_name.endswith(".py")
    if of_sweep and not label.startswith(":"):  # ./mine.py::narrow is an experiment
        sweep = catalog.sweep(sweep_name, scale)
        if not isinstance(sweep, Ablation):
            raise SpecError(f"{sweep_name} is a search: give the digest of one of its runs.")
        chosen = (sweep.case(label),) if colon else sweep.cases
        return [
            (f"{case.label} seed {seed}", case.with_seed(seed)) for case in chosen for seed in sweep.seeds
        ]
    if "/" in name and ".py" not in name:
        _, ablation, wanted = located(name, scale)
        labels = [case.label for case in ablation.cases if wanted in (None, case.label)]
        return [each for label in labels for each in asked(f"{ablation.name}:{label}", scale)]
    if name in catalog.experiments() or ".py" in name:
        return [(name, catalog.experiment(name, scale))]
    cases = {f"{n}:LABEL" for n in catalog.sweeps()}
    hint = " `lab list` shows the names of experiments and sweeps, `lab runs` the digests of runs."
    raise UnknownName.among("run, experiment or case", name, {*catalog.experiments(), *cases}, hint=hint)


def explained(
    label: str, spec: ExperimentSpec, runs: Sequence[RunRecord], settings: Settings
) -> Iterator[str]:
    """Whether the record holds this experiment; if not, what it holds that differs least."""
    yield f"{label} ({spec.digest})"
    found = next((run for run in runs if run.digest == spec.digest), None)
    if found is None:
        yield "  not on record. Nearest on record:"
        near = sorted(readable(runs), key=lambda pair: distance(pair[1], spec))[:NEAREST]
        yield from (
            f"    {run.digest} {run.name} seed {run.seed} ({run.status}): {difference(made, spec)}"
            for run, made in near
        )
        if not near:
            yield "    none"
        return
    yield from described(found)
    if found.status is Status.COMPLETE:
        try:
            require_same_data(found, spec, settings)
            yield "  reused: same specification, same data"
        except DataError as fault:
            yield f"  not reused: {fault}"
    else:
        yield f"  not reused: it is {found.status}; the same command continues it"


def explained_run(run: RunRecord, scale: str) -> Iterator[str]:
    """What a run is of today, and what changed where it is of nothing any more."""
    yield f"{run.digest} {run.name} seed {run.seed}"
    yield from described(run)
    current = list(_current(scale))
    used = [label for label, spec in current if spec.digest == run.digest]
    if used:
        yield f"  used at {scale} scale by {', '.join(used)}"
        return
    yield f"  used by no experiment or ablation at {scale} scale. Nearest:"
    try:
        made = ExperimentSpec.from_json(run.spec)
    except SpecError as fault:
        yield f"    its specification can no longer be read: {fault}"
        return
    for label, spec in sorted(current, key=lambda pair: distance(made, pair[1]))[:NEAREST]:
        yield f"    {label}: {difference(made, spec)}"


def described(run: RunRecord) -> Iterator[str]:
    """Status, work, sweeps, code and data of a run."""
    reason = f": {run.tags['reason']}" if run.tags.get("reason") else ""
    attempts = "1 attempt" if run.attempts == 1 else f"{run.attempts} attempts"
    yield f"  {run.status}{reason}; {run.seconds:.0f} s in {attempts}; run {run.run_id}"
    if run.sweeps:
        yield f"  of the sweeps {', '.join(sorted(run.sweeps))}"
    dirty = " with uncommitted changes" if run.tags.get("dirty", "").lower() in {"1", "true", "yes"} else ""
    code, data = (run.tags.get(name, "unknown") for name in ("commit", FINGERPRINT))
    yield f"  made with commit {code}{dirty}, data {data}"


def readable(runs: Sequence[RunRecord]) -> Iterator[tuple[RunRecord, ExperimentSpec]]:
    """Every run whose specification today's code understands, with it."""
    for run in runs:
        try:
            yield run, ExperimentSpec.from_json(run.spec)
        except SpecError:
            continue


def distance(old: ExperimentSpec, new: ExperimentSpec) -> int:
    """In how many fields they differ, those of parts of another kind counted one by one."""
    before, after = codec.flatten(old), codec.flatten(new)
    return sum(before.get(path) != after.get(path) for path in before.keys() | after.keys())


def difference(old: ExperimentSpec, new: ExperimentSpec) -> str:
    """`optimizer.lr was 0.004, is 0.002`."""
    changed = codec.difference(old, new).items()
    return ", ".join(f"{path} was {words(a)}, is {words(b)}" for path, (a, b) in changed)


def _current(scale: str) -> Iterator[tuple[str, ExperimentSpec]]:
    """Every experiment, and every case of every ablation with its seeds, that there is at this scale."""
    for name in catalog.experiments():
        with suppress(SpecError):
            yield name, catalog.experiment(name, scale)
    for name in catalog.sweeps():
        with suppress(SpecError):
            sweep = catalog.sweep(name, scale)
            if isinstance(sweep, Ablation):
                yield from ((f"{name}:{case.label} seed {spec.seed}", spec) for case, spec in sweep.specs())

"""`lab list` and `lab show`: what there is, and the whole of one thing."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from lab import catalog, codec
from lab.errors import SpecError, UnknownName
from lab.quantity import quantity
from lab.search.samplers import name_of
from lab.spec import ExperimentSpec
from lab.sweep import Ablation, Search


def list(arguments: argparse.Namespace) -> None:  # noqa: A001 (named as the command)
    """Print names and their first lines."""
    kinds: dict[str, dict[str, str]] = {}
    if arguments.kind in (None, "experiments"):
        kinds["experiments"] = {n: catalog.summary(f) for n, f in catalog.experiments().items()}
    if arguments.kind in (None, "sweeps"):
        kinds["sweeps"] = {
            n: catalog.summary(m) for n, m in catalog.modules("sweeps").items() if hasattr(m, "sweep")
        }
    if arguments.kind in (None, "tables"):
        kinds["tables"] = {n: catalog.summary(m) for n, m in catalog.tables().items()}
    if arguments.kind in (None, "data"):
        kinds["data"] = {n: catalog.summary(m) for n, m in catalog.datasets().items()}
    if arguments.kind in (None, "scales"):
        kinds["scales"] = {n: s.caption for n, s in catalog.scales().items()}
    if arguments.kind in (None, "readings"):
        kinds["readings"] = {
            f"{n}={'|'.join(a.readings)}": f"{a.question} {a.where[0].upper()}{a.where[1:]}."
            for n, a in catalog.ambiguities().items()
        }
    width = max(len(name) for names in kinds.values() for name in names) + 2
    for kind, names in kinds.items():
        print(f"{kind}:")
        for name, summary in sorted(names.items()):
            print(f"  {name:{width}}{summary}")


def show(arguments: argparse.Namespace) -> None:
    """Print every field of an experiment, or every case of a sweep."""
    try:
        spec = catalog.experiment(arguments.name, arguments.scale)
    except UnknownName:
        if arguments.name not in catalog.sweeps() and not arguments.name.endswith(".py"):
            raise
        if arguments.changes:
            raise SpecError(
                f"{arguments.name} is a sweep: fields can be changed in experiments only."
            ) from None
        return show_sweep(catalog.sweep(arguments.name, arguments.scale))
    spec = codec.override(spec, arguments.changes, texts=True)
    if arguments.json:
        print(spec.to_json())
        return None
    print(f"{arguments.name} at {arguments.scale} scale · digest {spec.digest} · {counts(spec)}\n")
    fields = codec.flatten(spec)
    width = max(map(len, fields)) + 2
    for path, value in fields.items():
        print(f"  {path:{width}}{words(value)}")
    return None


def show_sweep(sweep: Ablation | Search) -> None:
    """Print the cases with their differences from the first, or the space around the base."""
    if isinstance(sweep, Search):
        judged = f"{sweep.direction} {sweep.objective}" + "".join(
            f", minimize {cost}" for cost in sweep.costs
        )
        print(f"{sweep.name}: {quantity(sweep.trials, 'trial')}, {name_of(sweep.sampler)}, {judged}")
        print(f"  base {sweep.base.digest} · {counts(sweep.base)}")
        return
    cases = quantity(len(sweep.cases), "case")
    print(f"{sweep.name} at {sweep.scale} scale: {cases} x seeds {words(sweep.seeds)}")
    width = max(len(case.label) for case in sweep.cases) + 2
    for case in sweep.cases:
        changed = codec.difference(sweep.cases[0].spec, case.spec)
        listed = ", ".join(f"{path}={words(new)}" for path, (_, new) in changed.items())
        print(f"  {case.label:{width}}{counts(case.spec):45}  {listed}".rstrip())


def counts(spec: ExperimentSpec) -> str:
    """`44,912,254 parameters, 707.2 GFLOP per example`."""
    flops = spec.model.flops()
    scaled = f"{flops / 1e9:.1f} GFLOP" if flops >= 1e9 else f"{flops / 1e6:.2f} MFLOP"
    return f"{spec.model.parameters():,} parameters, {scaled} per example"


def words(value: Any) -> str:
    """A field's value as a person would type it."""
    if isinstance(value, tuple):
        return "[" + ", ".join(words(item) for item in value) + "]"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner = ", ".join(words(getattr(value, field.name)) for field in dataclasses.fields(value))
        return f"{type(value).__name__}({inner})"
    return "none" if value is None else str(value)

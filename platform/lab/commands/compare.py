"""`lab compare`: in what runs differ, in their specifications and in what they measured."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence

from lab import codec
from lab.commands.catalogue import words
from lab.commands.tables import record
from lab.errors import SpecError, UnknownName
from lab.spec import ExperimentSpec
from lab.tracking.tracker import RunRecord

ABOUT = ("commit", "dirty", "fingerprint")
"""tags that are compared too"""
WIDEST = 32
"""characters of a value that are shown"""


def compare(arguments: argparse.Namespace) -> None:
    """Print what differs between runs on record, side by side."""
    known = record().runs()
    if not known:
        raise UnknownName("there is no run on record yet: `lab train` or `lab sweep` makes some.")
    for line in side_by_side([one(name, known) for name in arguments.runs], everything=arguments.all):
        print(line)


def one(name: str, runs: Sequence[RunRecord]) -> RunRecord:
    """The run whose digest or id begins like this. Raises UnknownName."""
    found = {run.run_id: run for run in runs if run.digest.startswith(name) or run.run_id.startswith(name)}
    if len(found) != 1:
        said = f"{len(found)} runs on record begin" if found else "no run on record begins"
        raise UnknownName(f"{said} with {name!r}: `lab runs` shows their digests.")
    return next(iter(found.values()))


def side_by_side(runs: Sequence[RunRecord], *, everything: bool = False) -> Iterator[str]:
    """A column for each run: what they are, the fields they differ in, what they measured, and the difference
    to the first."""
    heads = [f"{run.digest} seed {run.seed}" for run in runs]
    yield from _rows("", [("", heads), ("name", [run.name for run in runs])])
    yield from _rows("", [("status", [run.status.value for run in runs])])
    fields = [_fields(run) for run in runs]
    made = [{name: run.tags.get(name, "unknown") for name in ABOUT} for run in runs]
    for title, each in (("specification", fields), ("made with", made)):
        rows = [(path, [words_of(one, path) for one in each]) for path in _names(each)]
        rows = [(path, texts) for path, texts in rows if everything or len(set(texts)) > 1]
        yield from _rows(title if rows else f"{title}: the same", rows)
    rows = []
    for name in _names([run.metrics for run in runs]):
        first = runs[0].metrics.get(name)
        rows.append((name, [_measured(run.metrics.get(name), first, run is runs[0]) for run in runs]))
    yield from _rows("measured", rows)


def _fields(run: RunRecord) -> Mapping[str, object]:
    try:
        return codec.flatten(ExperimentSpec.from_json(run.spec))
    except SpecError as fault:
        return {"specification": f"can no longer be read ({fault})"}


def words_of(fields: Mapping[str, object], path: str) -> str:
    text = words(fields[path]) if path in fields else "–"
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def _measured(value: float | None, first: float | None, is_first: bool) -> str:
    if value is None:
        return "–"
    moved = f" ({value - first:+.4g})" if first is not None and not is_first else ""
    return f"{value:.6g}{moved}"


def _names(each: Sequence[Mapping[str, object]]) -> list[str]:
    return sorted({name for one in each for name in one})


def _rows(title: str, rows: Sequence[tuple[str, Sequence[str]]]) -> Iterator[str]:
    if title:
        yield title
    for name, texts in rows:
        yield f"  {name:36}" + "".join(f"{text:>{WIDEST + 2}}" for text in texts)

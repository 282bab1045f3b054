"""A reproducibility checklist, answered by the record: what a reader needs to get the same numbers again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from lab.commands.plan import scaled
from lab.origin import FINGERPRINT
from lab.tracking.tracker import RunRecord
from lab.train.chain import MADE, TAG
from pipelines.tables import wording
from pipelines.tables.cell import Measured, Missing, Stage
from pipelines.tables.fill import COMMIT, DIRTY, Record
from pipelines.tables.report.costs import costs
from pipelines.tables.report.sheet import UNKNOWN, code, counted, finished
from pipelines.tables.statistics import CONFIDENCE
from pipelines.tables.table import ResultsTable

Answer = Literal["yes", "in part", "no"]
HARDWARE, LIBRARIES = ("device", "machine", "workers"), ("torch", "python")


@dataclass(frozen=True)
class Item:
    """A question of the checklist, whether it can be answered, and the answer."""

    question: str
    met: Answer
    answer: str


def checklist(tables: Sequence[ResultsTable], record: Record) -> list[Item]:
    """What is known of the runs behind these tables."""
    held = _runs(tables, record)
    runs = [run for run, _ in held.values()]
    data = [f"{name} {run.tags.get(FINGERPRINT, UNKNOWN)}" for run, name in held.values()]
    return [
        _cells(tables),
        _seeds(tables),
        _rules(tables),
        Item(
            "Are error bars defined, and comparisons tested?",
            "yes",
            f"± is half of a {CONFIDENCE:.0%} Student-t interval over seeds (ddof = 1). Differences "
            "are paired by seed, tests two-sided, p-values corrected by Holm: over the rows of a column for "
            "bold, over the claims of an exhibit for verdicts. One seed has no interval and decides nothing.",
        ),
        _hyperparameters(tables),
        _code(runs),
        _known("Is the data known?", runs, data, "The prepared bytes by their fingerprints"),
        _known("Is the hardware known?", runs, [_tags(run, *HARDWARE) for run in runs], "By run"),
        _known("Are the libraries known?", runs, [_tags(run, *LIBRARIES) for run in runs], "By run"),
        _compute(tables, record),
        _interrupted(runs),
        _chains(runs),
    ]  # fmt: skip


def _runs(tables: Iterable[ResultsTable], record: Record) -> dict[str, tuple[RunRecord, str]]:
    """Run id -> finished run and the name of its data set."""
    return {
        run.run_id: (run, asked.specs[0].data.name)
        for table in tables
        for asked in table.measurements()
        for run in finished(record.of(asked)).values()
    }


def _measured(tables: Iterable[ResultsTable]) -> list[Measured | Missing]:
    return [
        cell for table in tables for _, _, cell in table.cells() if isinstance(cell, Measured | Missing)
    ]  # fmt: skip


def _met(good: int, of: int) -> Answer:
    return "no" if good == 0 else "yes" if good == of else "in part"


def _cells(tables: Sequence[ResultsTable]) -> Item:
    states = Counter(cell.state.stage for cell in _measured(tables))
    told = ", ".join(f"{states[stage]} {stage}" for stage in Stage if states[stage])
    total = sum(states.values())
    return Item(
        "Is every number there?", _met(states[Stage.COMPLETE], total), f"{total} measured cells: {told}."
    )


def _seeds(tables: Sequence[ResultsTable]) -> Item:
    asked = Counter(len(cell.measurement.specs) for cell in _measured(tables))
    done = [cell for cell in _measured(tables) if not cell.state.lacking]
    told = ", ".join(f"{cells} cells over {n} seeds" for n, cells in sorted(asked.items()))
    return Item(
        "Are the seeds named, and is each of them run?",
        _met(len(done), sum(asked.values())),
        f"{told}. {len(done)} have all of them. Every cell lists its seeds; "
        "everything random in a run follows from its one.",
    )


def _rules(tables: Sequence[ResultsTable]) -> Item:
    rules = Counter(
        (asked.selection.name, asked.selection.caveat) for table in tables for asked in table.measurements()
    )
    told = [
        f"{name} in {n} cells{f' ({caveat})' if caveat else ''}"
        for (name, caveat), n in sorted(rules.items())
    ]
    biased = any(caveat for _, caveat in rules)
    return Item(
        "Is the rule stated that chooses the value of a run?",
        "in part" if biased else "yes",
        f"{'; '.join(told)}.",
    )


def _hyperparameters(tables: Sequence[ResultsTable]) -> Item:
    digests = {spec.digest for table in tables for asked in table.measurements() for spec in asked.specs}
    cases = {(asked.sweep, asked.case) for table in tables for asked in table.measurements()}
    return Item(
        "Are all hyper-parameters stated?",
        "yes",
        f"{len(digests):,} specifications ({len(cases)} cases and their seeds), each named by the digest of "
        "its whole content; they are printed at the end. Values that the paper does not state are marked "
        "assumed in perceiver/variants.py and sweeps/.",
    )


def _code(runs: Sequence[RunRecord]) -> Item:
    clean = [run for run in runs if run.tags.get(DIRTY, "").lower() == "false" and run.tags.get(COMMIT)]
    told = counted([code(run) for run in runs]) if runs else "no run yet"
    return Item("Is the code known?", _met(len(clean), len(runs)), f"Commits: {told}.")


def _tags(run: RunRecord, *names: str) -> str:
    known = {name: run.tags[MADE + name] for name in names if MADE + name in run.tags}
    if "workers" in known:
        known["workers"] += " worker" + "s" * (known["workers"] != "1")
    told = (value if name in HARDWARE else f"{name} {value}" for name, value in known.items())
    return ", ".join(told) or UNKNOWN


def _known(question: str, runs: Sequence[RunRecord], facts: Sequence[str], what: str) -> Item:
    good = sum(not fact.endswith(UNKNOWN) for fact in facts)
    return Item(question, _met(good, len(runs)), f"{what}: {counted(facts)}." if runs else "No run yet.")


def _compute(tables: Sequence[ResultsTable], record: Record) -> Item:
    total = costs(tables, record)[-1:] if tables else []
    told = "; ".join(
        f"{cost.runs} runs, {wording.duration(cost.seconds)} of training and evaluation, "
        f"{scaled(cost.operations, 'FLOP')} in training"
        for cost in total
    )
    return Item("Is the cost known?", "yes" if total and total[0].runs else "no", f"{told or 'No run yet'}.")


def _interrupted(runs: Sequence[RunRecord]) -> Item:
    again = sum(run.attempts > 1 for run in runs)
    return Item(
        "Is it known what was interrupted?",
        "yes" if runs else "no",
        f"{again} of {len(runs)} runs were continued from a checkpoint; that leaves no trace in a result.",
    )


def _chains(runs: Sequence[RunRecord]) -> Item:
    chained = sum(TAG in run.tags for run in runs)
    return Item(
        "Can the numbers be checked against tampering?",
        _met(chained, len(runs)),
        f"{chained} of {len(runs)} runs closed with a chain of hashes over their losses, weights and "
        "measurements: lab verify compares it with what is on record and with this page.",
    )

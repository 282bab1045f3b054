"""What of a table is not as it should be, cell by cell: in its files, in its numbers, in its runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lab.errors import RecordError
from lab.tracking.tracker import RunRecord, Tracker
from lab.train.chain import FILE as CHAIN
from lab.train.chain import TAG, Chain
from lab.train.sights import FILE as SIGHTS
from pipelines.tables import wording
from pipelines.tables.cell import Cell, Measured, Missing, Reading
from pipelines.tables.latex import DOCUMENT
from pipelines.tables.places import Place, edits, spans
from pipelines.tables.table import ResultsTable

ORIGIN = ("commit", "dirty", "fingerprint", TAG)
"""tags that say what a run was made with"""

Texts = Mapping[str, tuple[tuple[str, ...], str, str]]
"""file name -> the exhibits in it, its format, and what should be in it"""


@dataclass(frozen=True)
class Fault:
    """What is not as it should be, and the cell that it concerns; no cell where it is none's alone."""

    place: Place | None
    why: str

    def __str__(self) -> str:
        return f"{self.place}: {self.why}" if self.place else self.why


def altered(
    texts: Texts, read: Callable[[str], str | None], tables: Iterable[ResultsTable]
) -> Iterator[Fault]:
    """Where files are not what they should be. read: file name -> its text, None where it is gone."""
    known = {table.name: table for table in tables}
    for file, (names, form, expected) in texts.items():
        found = read(file)
        if found is None:
            yield Fault(None, f"{file} is gone")
        elif found != expected:
            of = [] if file == DOCUMENT else spans(expected, [known[name] for name in names], form)
            for edit in edits(expected, found, of):
                words = f"says {edit.found!r}, the record then gave {edit.expected!r}"
                yield Fault(edit.place, f"{file} line {edit.line} {words}")


def outdated(then: Sequence[ResultsTable], now: Sequence[ResultsTable]) -> Iterator[Fault]:
    """The cells that the record no longer gives as it did."""
    for old, new in zip(then, now, strict=True):
        for (row, column, was), (_, _, is_now) in zip(old.cells(), new.cells(), strict=True):
            yield from (Fault(Place(old.name, row.label, column.key), why) for why in _changed(was, is_now))


def _changed(was: Cell, now: Cell) -> Iterator[str]:
    if not isinstance(was, Measured | Missing) or not isinstance(now, Measured | Missing):
        if was != now:
            yield f"was {_words(was)}, is {_words(now)}"
        return
    metric = was.measurement.metric
    before, after = _readings(was), _readings(now)
    for seed, reading in before.items():
        if seed not in after:
            why = now.state.why or str(now.state)
            yield f"run {reading.run_id} (seed {seed}) is not on record as it was ({why})"
        else:
            yield from (
                f"run {reading.run_id} (seed {seed}) {d}" for d in _moved(reading, after[seed], metric)
            )
    for seed in after.keys() - before.keys():
        yield f"seed {seed} has been run since: make the tables again"
    if before == after and was.state != now.state:
        yield f"was {_state(was)}, is {_state(now)}"


def _words(cell: Cell) -> str:
    return wording.ours(cell) or wording.paper(cell)


def _readings(cell: Measured | Missing) -> dict[int, Reading]:
    return {reading.seed: reading for reading in cell.readings} if isinstance(cell, Measured) else {}


def _moved(was: Reading, now: Reading, metric: str) -> Iterator[str]:
    if was.run_id != now.run_id:
        yield f"was replaced by run {now.run_id}"
    elif (was.value, was.step) != (now.value, now.step):
        yield f"has {metric} {now.value!r} % on record, had {was.value!r} %"
    elif was != now:
        yield f"is said to be of commit {now.commit or 'unknown'}, was of {was.commit or 'unknown'}"


def _state(cell: Measured | Missing) -> str:
    return f"{cell.state}{f' ({cell.state.why})' if cell.state.why else ''}"


def rewritten(tables: Sequence[ResultsTable], then: Tracker, now: Tracker) -> Iterator[Fault]:
    """What of the runs of these cells is on record otherwise than it was, the numbers in the cells aside."""
    users = _users(tables)
    digests = {digest for _, digest in users}
    old, new = then.find(digests), now.find(digests)
    for (run_id, digest), cells in users.items():
        before, after = old.get(digest), new.get(digest)
        if before is None or after is None or before.run_id != run_id or after.run_id != run_id:
            continue
        read = {metric for _, metric in cells}
        for what, was, is_now in _differences(before, after):
            if what not in read:
                why = f"run {run_id} (seed {before.seed}) has {what} {is_now} on record, had {was}"
                yield from (Fault(place, why) for place, _ in cells)
        shown = then.text(run_id, SIGHTS)
        if shown is not None and shown != now.text(run_id, SIGHTS):
            why = f"run {run_id} (seed {before.seed}) has another {SIGHTS} on record, or none"
            yield from (Fault(place, why) for place, _ in cells)


def _differences(was: RunRecord, now: RunRecord) -> Iterator[tuple[str, object, object]]:
    for name in sorted(was.metrics.keys() | now.metrics.keys()):
        before, after = was.metrics.get(name), now.metrics.get(name)
        if repr(before) != repr(after):  # as text, since no nan equals another
            yield name, before, after
    for name in ORIGIN:
        if was.tags.get(name) != now.tags.get(name):
            yield name, was.tags.get(name), now.tags.get(name)
    if was.spec != now.spec:
        yield "a specification", "another", "of other words"


def lost(tables: Iterable[ResultsTable], packed: Mapping[str, str], now: Tracker) -> Iterator[Fault]:
    """The cells that would rest on runs of which there is a chain, and nothing on record. packed: run id ->
    digest"""
    on_record = now.find(packed.values())
    gone = {digest: run_id for run_id, digest in packed.items() if digest not in on_record}
    for table in tables:
        for row, column, cell in table.cells():
            for spec in cell.measurement.specs if isinstance(cell, Measured | Missing) else ():
                if spec.digest in gone:
                    why = f"run {gone[spec.digest]} (seed {spec.seed}) has a chain, and is on record no more"
                    yield Fault(Place(table.name, row.label, column.key), why)


def following(written: Iterable[Fault], record: Sequence[Fault]) -> Iterator[Fault]:
    """What of these faults in files is of cells that the record has faults in, one by one; the rest of the
    same exhibits in one line: where a run is gone or has another value, what is bold beside it changes too.
    """
    places = {fault.place for fault in record if fault.place}
    exhibits = {place.table for place in places}
    others = 0
    for fault in written:
        elsewhere = fault.place is not None and fault.place.table not in exhibits
        if not places or fault.place in places or elsewhere:
            yield fault
        else:
            others += 1
    if others:
        where = f"{others} other places of {', '.join(sorted(exhibits))}"
        yield Fault(None, f"{where} are not what this record gives: that follows, or they were altered too")


Users = dict[tuple[str, str], list[tuple[Place, str]]]


def _users(tables: Sequence[ResultsTable]) -> Users:
    """(run id, digest) -> the cells that rest on it, each with the metric it reads."""
    users: Users = {}
    for table in tables:
        for row, column, cell in table.cells():
            if isinstance(cell, Measured):
                for reading in cell.readings:
                    place = Place(table.name, row.label, column.key), cell.measurement.metric
                    users.setdefault((reading.run_id, reading.digest), []).append(place)
    return users


def unchained(tables: Sequence[ResultsTable], tracker: Tracker) -> tuple[list[Fault], list[str]]:
    """Where what is on record of a run is not what was hashed while it was made; and the runs that have no
    chain to be compared with."""
    users, faults, without = _users(tables), [], []
    runs = tracker.find({digest for _, digest in users})
    curves = tracker.histories([run_id for run_id, _ in users])
    for (run_id, digest), cells in users.items():
        run = runs.get(digest)
        if run is None or run.run_id != run_id:
            continue
        text = tracker.text(run_id, CHAIN)
        if text is None:
            without.append(run_id)
            if TAG in run.tags:
                why = f"run {run_id} (seed {run.seed}) was closed with a chain, and has none to be read now"
                faults += [Fault(place, why) for place, _ in cells]
        for metric, why in (
            *_inner(run, curves.get(run_id, {})),
            *_against(run, curves.get(run_id, {}), text, {metric for _, metric in cells}),
        ):
            concerned = [place for place, read in cells if read == metric] or [place for place, _ in cells]
            faults += [Fault(place, f"run {run_id} (seed {run.seed}) {why}") for place in concerned]
    return faults, without


Complaints = Iterator[tuple[str, str]]
"""(the metric concerned, or nothing; what is wrong)"""


def _inner(run: RunRecord, curves: Mapping[str, list[tuple[int, float]]]) -> Complaints:
    """Where the record contradicts itself."""
    if hashlib.sha256(run.spec.encode()).hexdigest()[: len(run.digest)] != run.digest:
        yield "", "holds a specification that does not give its digest"
    for name, value in sorted(run.metrics.items()):
        last = curves.get(name, [(0, None)])[-1][1]
        if repr(last) != repr(value):
            yield name, f"has {name} {value!r} where tables read it, and {last!r} at the end of its curve"


def _against(
    run: RunRecord, curves: Mapping[str, list[tuple[int, float]]], text: str | None, read: Collection[str]
) -> Complaints:
    """Where the record is not what the chain holds, and what of a metric that is read it does not hold."""
    if text is None:
        return
    try:
        chain = Chain.read(text)
    except RecordError as fault:
        yield "", f"has a chain that does not hold: {fault}"
        return
    if (chain.digest, chain.head) != (run.digest, run.tags.get(TAG, chain.head)):
        yield "", "has a chain that is not the one it was closed with"
    recorded = {(name, step): value for name, curve in curves.items() for step, value in curve}
    again = "" if run.attempts == 1 else " (a restart on other hardware may leave that too)"
    measured = chain.measured()
    for (name, step), value in measured.items():
        held = recorded.get((name, step))
        if repr(held) != repr(value):
            yield name, f"has {name} {held!r} at step {step} on record, it was measured as {value!r}{again}"
    names = {name for name, _ in measured} | set(read)
    since = min((step for _, step in measured), default=0)  # a run may be older than its chain
    for (name, step), held in recorded.items():
        if name in names and step >= since and (name, step) not in measured:
            yield name, f"has {name} {held!r} at step {step} on record, where its chain has nothing"

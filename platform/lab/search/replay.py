"""Whether the recorded trials of a search are those that it suggests: derived again and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lab.errors import LabError
from lab.search.ledger import Ledger
from lab.search.suggest import again, suggest
from lab.search.trial import Trial
from lab.spec import ExperimentSpec
from lab.sweep import Search
from lab.tracking.tracker import RunRecord, Tracker


def replay(search: Search, trials: Sequence[Trial], warm: Sequence[Trial] = ()) -> list[int]:
    """The numbers of the recorded trials that the search would not suggest again from what they had seen:
    none, unless the search, its seed, its space or the sampler's code is another one."""
    odd = []
    for trial in trials:
        seen = set(trial.seen)
        known = [
            other if other.number in seen else other.unseen()
            for other in trials
            if other.number < trial.number
        ]
        try:
            same = dict(suggest(search, trial.number, known, warm).trial.params) == dict(trial.params)
        except LabError:
            same = False
        if not same:
            odd.append(trial.number)
    return odd


@dataclass(frozen=True)
class Replayed:
    """A search that was derived again. odd: trials that it would not suggest · altered: trials whose params
    do not make the experiment that was recorded with them"""

    search: Search
    trials: int
    warm: int
    odd: tuple[int, ...]
    altered: tuple[int, ...]

    @property
    def verified(self) -> bool:
        return not self.odd and not self.altered

    def line(self) -> str:
        """`perceiver at laptop scale: 12 trials, each derived again from what it had seen`."""
        said = f"{self.search.name} at {self.search.scale} scale: {self.trials} trials"
        said += f" after {self.warm} finished runs" if self.warm else ""
        if self.verified:
            return f"{said}, each derived again from what it had seen"
        faults = [f"{_numbers(self.odd)} would not be suggested"] if self.odd else []
        faults += [f"{_numbers(self.altered)} would be another experiment"] if self.altered else []
        return f"{said}: {', '.join(faults)}"


def replayed(search: Search, parent: RunRecord) -> Replayed:
    """What a search's parent run holds, derived again."""
    ledger = Ledger.of(search, parent)
    altered = [t.number for t in ledger.trials if t.digest and _experiment(search, t) != t.digest]
    odd = replay(search, ledger.trials, ledger.warm)
    return Replayed(search, len(ledger.trials), len(ledger.warm), tuple(odd), tuple(altered))


def verify(tracker: Tracker, searches: Mapping[str, Callable[[], object]]) -> Iterator[Replayed]:
    """Every one of these searches that the record holds, derived again. searches: name -> what makes it, as
    `catalog.sweeps` does; what is no search is passed over."""
    for make in searches.values():
        search = make()
        if isinstance(search, Search):
            parent = tracker.parent(search.name, kind="search", scale=search.scale)
            if parent is not None:
                yield replayed(search, parent)


def _experiment(search: Search, trial: Trial) -> str:
    try:
        spec: ExperimentSpec = search.base.override(again(search, trial))
    except (LabError, KeyError, ValueError):
        return ""
    return spec.digest


def _numbers(numbers: Sequence[int]) -> str:
    return f"trial{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"

"""A search in the record: its trials are tags of its parent run, under the identity of the search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from lab.search.trial import Trial
from lab.sweep import Search
from lab.tracking.tracker import RunRecord

TRIAL, WARM, SEARCH = "trial", "warm", "search"


@dataclass(frozen=True)
class Ledger:
    """What is recorded of a search. warm: None while it is not written down what it begins with"""

    trials: tuple[Trial, ...]
    begun_with: tuple[Trial, ...] | None

    @classmethod
    def of(cls, search: Search, parent: RunRecord) -> Self:
        begun = _tag(search, SEARCH) in parent.tags
        return cls(tuple(_read(search, parent, TRIAL)), tuple(_read(search, parent, WARM)) if begun else None)

    @property
    def warm(self) -> tuple[Trial, ...]:
        return self.begun_with or ()


def entry(search: Search, trial: Trial) -> dict[str, str]:
    """The tag of one trial."""
    return {f"{_tag(search, TRIAL)}.{trial.number:04}": trial.to_json()}


def beginning(search: Search, warm: tuple[Trial, ...]) -> dict[str, str]:
    """The tags of what a search is and begins with: written once, before its first trial, and the note that
    it is complete last."""
    seen = {f"{_tag(search, WARM)}.{trial.number:04}": trial.to_json() for trial in warm}
    return seen | {_tag(search, SEARCH): search.settings}


def _tag(search: Search, kind: str) -> str:
    return f"{kind}.{search.identity}"


def _read(search: Search, parent: RunRecord, kind: str) -> Iterator[Trial]:
    prefix = f"{_tag(search, kind)}."
    found = [Trial.from_json(text) for name, text in parent.tags.items() if name.startswith(prefix)]
    yield from sorted(found, key=lambda trial: trial.number)

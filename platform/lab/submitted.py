"""What was submitted from here and has not been seen to end: a job whose head died is known here alone."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Submission:
    """key: digest of the command's words · since: seconds since the epoch"""

    key: str
    name: str
    command: str
    since: float


def folder() -> Path:
    return Path(os.environ.get("LAB_HOME", ".lab")).absolute() / "jobs"


def note(key: str, name: str, command: str) -> None:
    """Remember a job that has been accepted."""
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    new = place / f"{key}.{os.getpid()}"
    new.write_text(json.dumps(asdict(Submission(key, name, command, time.time()))))
    new.replace(place / f"{key}.json")


def forget(name: str) -> None:
    """A job was seen to end."""
    unended([name])


def unended(ended: Iterable[str]) -> list[Submission]:
    """What was noted, the oldest first; the jobs of the names `ended` are forgotten."""
    ended, found = set(ended), []
    for file in folder().glob("*.json"):
        noted = Submission(**json.loads(file.read_text()))
        if noted.name in ended:
            file.unlink(missing_ok=True)
        else:
            found.append(noted)
    return sorted(found, key=lambda noted: noted.since)

"""`lab jobs`: what the cluster runs, has run, and lost."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lab import submitted
from lab.arrival import WAITS
from lab.train.progress import clock

if TYPE_CHECKING:
    from lab.submit import Job


def jobs(arguments: argparse.Namespace) -> None:
    """One line per job, the newest first; under it what one that runs said last, or why one that waits has
    its place."""
    from lab.submit import Jobs

    cluster = Jobs()
    known = cluster.all()
    for job in known:
        if arguments.all or job.active or job in known[: arguments.last]:
            said = last_words(cluster.logs(job.name)) if job.active else ""
            print(line(job, time.time(), waits=said.startswith(WAITS)))
            if said:
                print(f"    {said.removeprefix(WAITS).strip()}")
    for told in lost(known):
        print(told)


def line(job: Job, now: float, *, waits: bool = False) -> str:
    """waits: whether it has come, and its turn has not; Ray calls that running, too."""
    took = clock((job.ended or now) - job.begun) if job.begun else ""
    priority = f"  priority {job.priority}" if job.priority else ""
    status = "waiting" if waits else job.status.lower()
    return f"{status:10}{took:>9}  {job.name}  {job.command}{priority}"


def last_words(text: str) -> str:
    """The last line that says something, as a terminal would show it."""
    lines = [words for words in text.replace("\r", "\n").split("\n") if words.strip()]
    return lines[-1].strip()[:240] if lines else ""


def lost(known: Sequence[Job]) -> Iterator[str]:
    """What was submitted from here, has not been seen to end, and is no longer known to the cluster: its head
    was another one. What it trained is on record."""
    names = {job.name for job in known}
    for noted in submitted.unended(job.name for job in known if not job.active):
        if noted.name not in names:
            yield (
                f"{'lost':10}{'':9}  {noted.name}  {noted.command}: its head is gone; "
                f"`lab submit {noted.command}` continues it"
            )

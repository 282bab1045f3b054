"""`lab logs`: what a job says."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from lab import submitted

if TYPE_CHECKING:
    from lab.submit import Jobs


def logs(arguments: argparse.Namespace) -> int:
    """Print what a job has said; with --follow, go on until it has ended, and end as it did."""
    from lab.submit import Jobs

    jobs = Jobs()
    job = jobs.one(arguments.job)
    if arguments.follow:
        return follow(jobs, job.name)
    print(jobs.logs(job.name), end="")
    return 0


def follow(jobs: Jobs, name: str) -> int:
    """Print what a job says until it has ended; 0 where it has succeeded. Ctrl-C leaves it alone."""

    def say(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    try:
        job = jobs.follow(name, say)
    except KeyboardInterrupt:
        print(f"\nnot followed any longer; the job goes on (`lab stop {name}` stops it)")
        return 0
    submitted.forget(name)
    print(f"{name}: {job.status.lower()}")
    return 0 if job.status == "SUCCEEDED" else 1

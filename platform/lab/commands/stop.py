"""`lab stop`: end a job, its checkpoints written."""

from __future__ import annotations

import argparse

from lab import submitted
from lab.errors import LabError


def stop(arguments: argparse.Namespace) -> int:
    """Ask a job to stop and wait until it has."""
    from lab.submit import Jobs

    jobs = Jobs()
    job = jobs.one(arguments.job)
    if not job.active:
        print(f"{job.name} is {job.status.lower()} already")
        return 0
    job = jobs.stop(job.name)
    if job.active:
        raise LabError(f"{job.name} is still {job.status.lower()}: see `lab logs {job.name}`.")
    submitted.forget(job.name)
    print(f"{job.name}: {job.status.lower()}; `lab submit {job.command}` continues it")
    return 0

"""`lab submit`: a `lab` command as a job of the cluster. The same command again is the same job, or its
continuation."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence

from lab import catalog, codec, submitted
from lab.arrival import HIGHEST
from lab.errors import SpecError, did_you_mean
from lab.settings import Settings

REMOTE = ("train", "sweep", "data", "doctor", "plan", "runs", "tables", "why", "list", "show")


def submit(arguments: argparse.Namespace) -> int:
    """Send the command with its code; return when the cluster has accepted it, or, with --follow, when it has
    ended."""
    words = list(arguments.words)
    require_sensible(words)
    if not -HIGHEST < arguments.priority < HIGHEST:
        raise SpecError(f"--priority is from {1 - HIGHEST} to {HIGHEST - 1}, got {arguments.priority}.")

    from lab.commands.logs import follow
    from lab.submit import Jobs

    jobs = Jobs()
    job, new = jobs.submit(words, Settings.load(), priority=arguments.priority)
    submitted.note(job.key, job.name, shlex.join(words))
    if new:
        print(f"submitted {job.name}; the environment there is the locked one")
    else:
        print(f"{job.name} is {job.status.lower()} already; nothing new was submitted")
    if arguments.follow:
        return follow(jobs, job.name)
    print(f"  lab logs {job.name} --follow    lab stop {job.name}    lab jobs")
    return 0


def require_sensible(words: Sequence[str]) -> None:
    """Refuse here what the cluster would refuse: unknown commands, names, scales and fields. Raises
    LabError."""
    if not words or words[0] not in REMOTE:
        given = words[0] if words else ""
        raise SpecError(
            f"`lab submit {given}`: a job is one of {', '.join(REMOTE)}.{did_you_mean(given, REMOTE)}"
        )
    from lab.cli import build_parser, dotted_changes

    known, rest = build_parser().parse_known_args(list(words))
    changes = dotted_changes(rest, allowed=known.takes_changes)
    if words[0] == "train":
        codec.override(catalog.experiment(known.name, known.scale), changes, texts=True)
    elif words[0] == "sweep":
        catalog.sweep(known.name, known.scale)

"""Who holds a run: owners, and when a lease has run out. No input or output but a look at the local process
table."""

from __future__ import annotations

import os
import re
import socket
import time
from functools import cache
from pathlib import Path

from lab.tracking.tracker import LEASE_SECONDS, Lease


def this_process() -> str:
    """The owner string of the calling process, `host:pid:started`."""
    return owner_of(os.getpid())


def owner_of(pid: int) -> str:
    """The owner string of a process here. `started` tells it from a later process with the same pid."""
    return f"{here()}:{pid}:{_started(pid) or 'gone'}"


@cache
def here() -> str:
    """Where pids mean the same as in this process: the host, and on Linux `~` the pid namespace (a
    container's) and the boot, since hosts may be called alike and their first namespaces always are."""
    try:
        space = re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink()))
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().partition("-")[0]
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}~{space}-{boot}"


def known_dead(owner: str) -> bool:
    """True when `owner` was a process here that no longer runs. Nothing is known of other hosts."""
    place, pid, started = _parts(owner)
    return place == here() and (not pid.isdigit() or _started(int(pid)) != started)


def expired(lease: Lease, now: float | None = None) -> bool:
    """True when its owner here is dead, or its owner elsewhere has been silent for longer than
    `LEASE_SECONDS`."""
    if _parts(lease.owner)[0] == here():
        return known_dead(lease.owner)
    return (time.time() if now is None else now) - lease.beat > LEASE_SECONDS


def taken(name: str, owner: str) -> str:
    """The one line for a run that somebody else holds."""
    place, pid, _ = _parts(owner)
    host = place.partition("~")[0]
    return f"{name} is being run by process {pid} on {host}: wait for it, or stop it and repeat this command."


def lost(name: str) -> str:
    """The one line for a run that is not its former owner's to write any more."""
    return (
        f"{name} was closed or taken over by another process while nothing was heard of this one: it goes on "
        "from its last checkpoint."
    )


def _parts(owner: str) -> tuple[str, str, str]:
    place, _, rest = owner.partition(":")
    pid, _, started = rest.partition(":")
    return place, pid, started


def _started(pid: int) -> str | None:
    """When a process started, in the system's own words; None when there is no such process or only its
    zombie."""
    try:
        # The command name may hold spaces and brackets: the fields that matter come after the last bracket.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _started_by_psutil(pid)
    return None if fields[0] in "ZX" else fields[19]


def _started_by_psutil(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.0f}"
    except psutil.Error:
        return None

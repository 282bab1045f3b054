"""What a job does first, on the head: is this the environment its code was locked to, and is it its turn?

Run by its path with whatever Python the cluster has, so it needs nothing but the standard library. Then it
becomes the command that was submitted.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import IO

ACCEPTED = "lab: the environment is the locked one"
REFUSED = "lab: refused:"
REFUSAL = 3
"""exit code"""
FOREMOST = ("ray", "torch", "mlflow", "optuna")
"""named first where several differ; without one of them nothing can run"""
PROJECT = "perceiver-lab"
TAKES_TURNS = {"train", "sweep"}
HIGHEST = 1000
LOOK_SECONDS = 1.0


def locked(constraints: str) -> dict[str, str]:
    """Distribution -> version, from the text of constraints.txt."""
    return {
        _plain(name): version
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", constraints, re.MULTILINE)
    }


def needed(requires: Callable[[str], Iterable[str]], project: str = PROJECT) -> set[str]:
    """Every distribution that the project needs here, and that those need; what tests alone use is none of
    them.

    requires: the requirements of a distribution as its metadata state them, none where it is not here.
    """
    found: set[str] = set()
    left = [(project, frozenset[str]())]
    seen: set[tuple[str, frozenset[str]]] = set()
    while left:
        name, extras = left.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found.add(name)
        for text in requires(name):
            wanted = re.match(r"([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?", text)
            optional = re.search(r"extra\s*==\s*['\"]([^'\"]+)", text)
            if wanted and (optional is None or optional[1] in extras):
                of = frozenset(filter(None, re.split(r"[\s,]+", wanted[2] or "")))
                left.append((_plain(wanted[1]), of))
    return found - {project}


def _plain(name: str) -> str:
    """Names of distributions as they are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(name: str) -> Iterable[str]:
    try:
        return metadata.requires(name) or ()
    except metadata.PackageNotFoundError:
        return ()


def mismatch(
    expected: Mapping[str, str], lock: Mapping[str, str], installed: Callable[[str], str | None], stamp: str
) -> str | None:
    """In words, what of this environment is not as where the job comes from; None where all agrees.

    expected: `python` (`3.11`) and `lock` (of constraints.txt) there · lock: distribution -> version ·
    installed: a distribution's version here, None where there is none · stamp: the lock that this environment
    was made from, "" where nobody noted it.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if python != expected["python"]:
        return f"the cluster has Python {python}, the job is from {expected['python']}"
    for name in sorted(lock, key=lambda name: (name not in FOREMOST, name)):
        here = installed(name)
        if here is None and name in FOREMOST:
            return f"the cluster has no {name}, the job wants {lock[name]}"
        if here is not None and _public(here) != _public(lock[name]):
            return f"the cluster has {name} {here}, the job wants {lock[name]}"
    if stamp and stamp != expected["lock"]:
        return f"the cluster was made from the lock {stamp}, the job has {expected['lock']}"
    return None


def _public(version: str) -> str:
    """Builds for CUDA and for CPUs (`2.13.0+cpu`) are one version."""
    return version.partition("+")[0]


def installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def take_turn(folder: Path, priority: int, at_once: int, say: Callable[[str], object]) -> IO[str]:
    """Wait until fewer than `at_once` jobs run and none that waits goes before; return what holds the place.

    The higher priority goes first, of equals whoever came first. Places and tickets are file locks: whatever
    ends a process gives them back.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ticket = folder / f"{HIGHEST - priority:06d}-{time.time_ns()}-{os.getpid()}.ticket"
    with ticket.open("w") as mine:
        fcntl.flock(mine, fcntl.LOCK_EX)
        told = -1
        try:
            while True:
                before = sum(1 for _ in _living(t for t in folder.glob("*.ticket") if t.name < ticket.name))
                place = None if before else _free_place(folder, at_once)
                if place is not None:
                    return place
                if before != told:
                    say(f"lab: waiting for its turn, {before} before it")
                    told = before
                time.sleep(LOOK_SECONDS)
        finally:
            ticket.unlink(missing_ok=True)


def _living(tickets: Iterable[Path]) -> Iterable[Path]:
    """Those whose process still holds them; others are cleared away."""
    for ticket in tickets:
        try:
            with ticket.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                ticket.unlink(missing_ok=True)
        except BlockingIOError:
            yield ticket
        except FileNotFoundError:
            continue


def _free_place(folder: Path, at_once: int) -> IO[str] | None:
    for number in range(at_once):
        place = (folder / f"place-{number}").open("a")
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            place.close()
            continue
        return place
    return None


def main() -> None:
    """`arrival.py WORD...`, in the job's working directory; LAB_JOB says what is expected, as JSON."""
    root, job = Path.cwd(), json.loads(os.environ["LAB_JOB"])
    stamp = Path(os.environ["LAB_LOCK"]) if os.environ.get("LAB_LOCK") else None
    lock, ours = locked((root / "constraints.txt").read_text()), needed(requirements)
    differs = mismatch(
        job,
        {name: version for name, version in lock.items() if name in ours or name in FOREMOST},
        installed,
        stamp.read_text().strip() if stamp and stamp.exists() else "",
    )
    if differs:
        print(f"{REFUSED} {differs}.", flush=True)
        sys.exit(REFUSAL)
    print(f"{ACCEPTED} ({job['lock']})", flush=True)
    words = sys.argv[1:]
    if words[0] in TAKES_TURNS:
        queue = Path(os.environ.get("LAB_QUEUE") or Path.home() / "lab-queue")
        at_once = int(os.environ.get("LAB_JOBS_AT_ONCE") or 1)
        place = take_turn(queue, job["priority"], at_once, lambda line: print(line, flush=True))
        os.set_inheritable(place.fileno(), True)  # held by what this process becomes
    os.environ["PYTHONPATH"] = os.pathsep.join([str(root / "platform"), str(root)])
    os.environ["PYTHONUNBUFFERED"] = "1"
    os.chdir(root / job["folder"])
    os.execv(sys.executable, [sys.executable, "-m", "lab.cli", *words])  # noqa: S606


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("lab: stopped while it waited.")

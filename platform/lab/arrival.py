"""What a job does first, on the head: is this the environment its code was locked to, and is it its turn?

Run by its path with whatever Python the cluster has, so it needs nothing but the standard library. Then it
becomes the command that was submitted.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
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
LONG_SECONDS = 12 * 3600.0
"""after which a job goes before what would yield more: nothing waits for ever"""
VALUE_SECONDS = 120.0
WAITS = "lab: waiting for its turn,"


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


@dataclass(frozen=True)
class Ticket:
    """A job in the queue. cells: cases it would complete, and hours: what that takes of devices, likely; None
    where nobody could tell · came: seconds since the epoch"""

    name: str
    priority: int
    came: float
    cells: int | None = None
    hours: float | None = None

    @property
    def yields(self) -> float:
        """Cells for an hour of a device; none where nobody could tell."""
        if self.cells is None or self.hours is None:
            return 0.0
        return self.cells / self.hours if self.hours > 0 else float("inf")

    def place(self, now: float) -> tuple[object, ...]:
        """What the queue is sorted by: priority, then whoever has waited long enough, then what an hour
        yields, then whoever came first."""
        long = now - self.came > LONG_SECONDS
        return -self.priority, not long, 0.0 if long else -self.yields, self.came, self.name

    def reason(self, now: float) -> str:
        """Why it has its place, in words."""
        told = [f"priority {self.priority}"] if self.priority else []
        if now - self.came > LONG_SECONDS:
            told.append(f"has waited {(now - self.came) / 3600:.0f} h")
        elif self.cells is None or self.hours is None:
            told.append("cost unknown")
        else:
            cells = "1 cell" if self.cells == 1 else f"{self.cells} cells"
            told.append(f"{cells} for {self.hours:.3g} device-hours")
        return ", ".join(told)


def take_turn(
    folder: Path,
    ticket: Ticket,
    at_once: int,
    say: Callable[[str], object],
    value: Callable[[], tuple[int, float] | None] = lambda: None,
) -> IO[str]:
    """Wait until fewer than `at_once` jobs run and none that waits goes before; return what holds the place.

    value: cells and hours of this job, asked once and only where it has to wait. Places and tickets are file
    locks: whatever ends a process gives them back.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _held(folder, ticket) as file:
        told, known = "", False
        while True:
            now = time.time()
            others = (_read(at) for at in _living(folder.glob("*.ticket")) if at != file)
            before = sorted(
                (t for t in others if t and t.place(now) < ticket.place(now)), key=lambda t: t.place(now)
            )
            place = None if before else _free_place(folder, at_once)
            if place is not None:
                return place
            if not known:
                cells, hours = value() or (None, None)
                ticket, known = replace(ticket, cells=cells, hours=hours), True
                _write(file, ticket)
                continue
            if (line := waiting(ticket, before, now)) != told:
                say(line)
                told = line
            time.sleep(LOOK_SECONDS)


def waiting(ticket: Ticket, before: Sequence[Ticket], now: float) -> str:
    """The line that `lab jobs` shows: place and reason, and whom it waits for."""
    line = f"{WAITS} {len(before)} before it ({ticket.reason(now)})"
    if before:
        line += f"; next is {before[0].name} ({before[0].reason(now)})"
    return line


@contextmanager
def _held(folder: Path, ticket: Ticket) -> Iterator[Path]:
    """A place in the queue, for as long as the context lasts or the process lives."""
    file = folder / f"{time.time_ns()}-{os.getpid()}.ticket"
    lock = file.with_suffix(".lock")
    with lock.open("w") as mine:
        fcntl.flock(mine, fcntl.LOCK_EX)
        try:
            _write(file, ticket)
            yield file
        finally:
            file.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)


def _write(file: Path, ticket: Ticket) -> None:
    new = file.with_suffix(".new")
    new.write_text(json.dumps(asdict(ticket)))
    new.replace(file)


def _read(file: Path) -> Ticket | None:
    try:
        return Ticket(**json.loads(file.read_text()))
    except FileNotFoundError:
        return None


def _living(tickets: Iterable[Path]) -> Iterator[Path]:
    """Those whose process still holds them; others are cleared away."""
    for ticket in list(tickets):
        lock = ticket.with_suffix(".lock")
        try:
            with lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                ticket.unlink(missing_ok=True)
                lock.unlink(missing_ok=True)
        except BlockingIOError:
            yield ticket
        except FileNotFoundError:
            ticket.unlink(missing_ok=True)


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
    words, folder = sys.argv[1:], root / job["folder"]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(root / "platform"), str(root)])
    os.environ["PYTHONUNBUFFERED"] = "1"
    os.chdir(folder)
    if words[0] in TAKES_TURNS:
        place = take_turn(
            Path(os.environ.get("LAB_QUEUE") or Path.home() / "lab-queue"),
            Ticket(job.get("name", "a job"), job["priority"], time.time()),
            int(os.environ.get("LAB_JOBS_AT_ONCE") or 1),
            lambda line: print(line, flush=True),
            lambda: value(words),
        )
        os.set_inheritable(place.fileno(), True)  # held by what this process becomes
    os.execv(sys.executable, [sys.executable, "-m", "lab.cli", *words])  # noqa: S606


def value(words: Sequence[str]) -> tuple[int, float] | None:
    """Cells that a command completes and hours of devices that it takes, by the record; None where nobody can
    tell."""
    try:
        asked = subprocess.run(
            [sys.executable, "-m", "lab.commands.worth", *words],
            capture_output=True, text=True, timeout=VALUE_SECONDS, check=True,
        )  # fmt: skip
        cells, hours = json.loads(asked.stdout.strip().rpartition("\n")[2])
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return int(cells), float(hours)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("lab: stopped while it waited.")

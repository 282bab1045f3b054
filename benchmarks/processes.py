"""What a program costs with every process it starts: CPU seconds between its marks, memory at its peak.

The program calls `mark` where a part of it ends. It waits there until its processes have been looked at, so
that what is counted between two marks is what happened between them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

CPU_EVERY, MEMORY_EVERY = 0.1, 0.3
"""Seconds between two looks. A process that ends in between takes what it did since the last one with it."""


@dataclass(frozen=True)
class Mark:
    """A part that ended: its examples, or bytes; its seconds, and the CPU seconds of all processes."""

    name: str
    count: int
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Watched:
    """The parts of a program in order; its largest PSS in bytes, all processes together; how many there were.

    `ended` says why there are no more marks, if the program failed.
    """

    marks: tuple[Mark, ...]
    peak: int
    processes: int
    ended: str | None = None

    def part(self, *names: str) -> Mark:
        """The parts of these names, added up."""
        found = [mark for mark in self.marks if mark.name in names]
        return Mark(
            names[0],
            sum(mark.count for mark in found),
            sum(mark.seconds for mark in found),
            sum(mark.cpu_seconds for mark in found),
        )


def mark(name: str, count: int = 0) -> None:
    """Said by the program that is watched."""
    print(json.dumps({"mark": name, "count": count}), flush=True)
    sys.stdin.readline()


@dataclass
class _Family:
    """A process and all that come from it, dead ones too."""

    root: psutil.Process
    spent: dict[psutil.Process, float] = field(default_factory=dict)
    peak: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def cpu_seconds(self) -> float:
        with self.lock:
            for process in self._living():
                try:
                    times = process.cpu_times()
                    self.spent[process] = times.user + times.system
                except psutil.Error:
                    continue
            return sum(self.spent.values())

    def weigh(self) -> None:
        total = 0
        for process in self._living():
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue
        self.peak = max(self.peak, total)

    def _living(self) -> list[psutil.Process]:
        try:
            return [self.root, *self.root.children(recursive=True)]
        except psutil.Error:
            return []


def watch(command: Sequence[str]) -> Watched:
    """Runs the program to its end."""
    program = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdin is not None
    assert program.stdout is not None
    assert program.stderr is not None
    family, over = _Family(psutil.Process(program.pid)), threading.Event()
    errors: list[str] = []

    def look() -> None:
        weighed = 0.0
        while not over.wait(CPU_EVERY):
            family.cpu_seconds()
            if time.monotonic() - weighed > MEMORY_EVERY:
                family.weigh()
                weighed = time.monotonic()

    threads = [threading.Thread(target=look), threading.Thread(target=lambda: errors.extend(program.stderr))]
    for thread in threads:
        thread.start()
    marks, at, spent = [], time.perf_counter(), 0.0
    for line in program.stdout:
        if not line.startswith('{"mark"'):
            continue
        now, total, said = time.perf_counter(), family.cpu_seconds(), json.loads(line)
        marks.append(Mark(said["mark"], said["count"], now - at, total - spent))
        at, spent = now, total
        program.stdin.write("\n")
        program.stdin.flush()
    status = program.wait()
    over.set()
    for thread in threads:
        thread.join()
    told = [line.strip() for line in errors if line.strip()]
    ended = None if status == 0 else told[-1] if told else f"exit status {status}"
    return Watched(tuple(marks), family.peak, len(family.spent), ended)

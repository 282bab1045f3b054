"""Ends what a killed driver leaves of its local Ray.

Most of Ray dies with its driver, but its agents look for a dead server for a minute first, and the session
folder stays. A small process of its own waits for the driver's end, whatever that is, and then clears up.

    python -m lab.orphans MARK FOLDER <&pipe     # until end of file, then: end all processes that carry MARK
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil

MARK = "LAB_CLUSTER"
"""environment variable that every process of a local Ray inherits"""


def watch(mark: str, folder: Path) -> subprocess.Popen[bytes]:
    """A watcher of the calling process. Closing its `stdin` is the sign to clear up."""
    return subprocess.Popen(
        [sys.executable, "-m", "lab.orphans", mark, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), MARK: ""},
    )


def marked(mark: str) -> list[psutil.Process]:
    """The processes that carry a mark, the caller and its parent not counted."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.pid not in {os.getpid(), os.getppid()}:
                found.append(process)
        except psutil.Error:
            continue
    return found


def clear(mark: str, folder: Path, patience: float = 1.0) -> None:
    """End the processes that carry the mark, and remove the folder."""
    deadline = time.monotonic() + patience
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in left:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(left, timeout=5)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.stdin.read()
    clear(sys.argv[1], Path(sys.argv[2]))

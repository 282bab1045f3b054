"""Runs that somebody holds: here, elsewhere, or who has died."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lab.settings import Settings
from lab.spec import ExperimentSpec
from lab.tracking.lease import owner_of, this_process
from lab.tracking.tracker import Tracker

ME = this_process()
ELSEWHERE = "another-host:1:1"


def settings_for(uri: str, folder: Path) -> Settings:
    return Settings(
        uri, str(folder / "files"), str(folder / "storage"), str(folder / "data"), experiment=folder.name
    )


def begin(tracker: Tracker, spec: ExperimentSpec, owner: str = ME, **tags: str):  # type: ignore[no-untyped-def]
    return tracker.begin(spec, name="toy.one", owner=owner, tags=tags)


def dead_owner() -> str:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = owner_of(process.pid)
    process.kill()
    process.wait()
    return owner

"""A real PostgreSQL, for a record as a cluster keeps it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def binaries() -> Path:
    """Where `initdb` and `postgres` are: Debian leaves them beside the path."""
    beside = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    found = shutil.which("initdb") or (str(beside[0]) if beside else None)
    if found is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    return Path(found).resolve().parent


def somebody() -> str | None:
    """Whom the server runs as: it refuses to be root's. None where this is nobody's business."""
    if os.geteuid() != 0:
        return None
    names = [name for name in ("postgres", "nobody") if name in {user.pw_name for user in pwd.getpwall()}]
    if not names:
        pytest.skip("PostgreSQL does not run as root, and there is no user it could run as")
    return names[0]


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """Its address: an empty database on a socket in a folder of its own, gone afterwards."""
    where, user = binaries(), somebody()
    folder = Path(tempfile.mkdtemp(prefix="lab-pg-"))  # the path of a socket is short
    if user is not None:
        shutil.chown(folder, user)

    def run(*command: str | Path) -> None:
        done = subprocess.run(
            list(map(str, command)), cwd=folder, user=user, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    run(where / "initdb", "-D", folder / "data", "-U", "lab", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    run(where / "pg_ctl", "-D", folder / "data", "-o", options, "-l", folder / "log", "-w", "start")
    try:
        run(where / "createdb", "-h", folder, "-U", "lab", "record")
        yield f"postgresql+psycopg://lab@/record?host={folder}"
    finally:
        run(where / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
        shutil.rmtree(folder)

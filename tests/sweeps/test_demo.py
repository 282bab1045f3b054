"""The demo, for real: killed at any moment it goes on, and the record stays true."""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from lab import Ablation, Settings, catalog
from lab.tracking.mlflow import MlflowTracker
from lab.tracking.tracker import Status

ROOT = Path(__file__).parents[2]
KILLS = 4


def demo(home: Path) -> subprocess.Popen[str]:
    """`make demo` without the installation, in a folder of its own and a session of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LAB_", "RAY_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "sweeps.demo"],
        cwd=home,
        env=clean | {"PYTHONPATH": f"{ROOT}/platform:{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_demo_killed_at_any_moment_goes_on_and_ends_with_one_run_per_digest(tmp_path: Path) -> None:
    moments = random.Random(0)
    for kill in range(KILLS):
        process = demo(tmp_path)
        time.sleep(moments.uniform(5, 90))
        # At times the driver alone dies, at times it and all that it started.
        (os.kill if kill % 2 else os.killpg)(process.pid, signal.SIGKILL)
        process.wait()
    finished = demo(tmp_path)
    said, _ = finished.communicate(timeout=1800)
    assert finished.returncode == 0, said

    runs = MlflowTracker(Settings.load({"LAB_HOME": str(tmp_path / ".lab")})).runs()
    assert max(Counter(run.digest for run in runs).values()) == 1
    assert {run.status for run in runs} <= {Status.COMPLETE, Status.PRUNED}
    table2 = catalog.sweep("table2", "laptop")
    assert isinstance(table2, Ablation)
    wanted = {spec.digest for _, spec in table2.specs()}
    assert wanted <= {run.digest for run in runs if run.status is Status.COMPLETE}
    with sqlite3.connect(tmp_path / ".lab" / "record.db") as record:
        doubles = "SELECT run_uuid, key, step FROM metrics GROUP BY run_uuid, key, step HAVING COUNT(*) > 1"
        assert record.execute(doubles).fetchall() == []

    again = demo(tmp_path)
    said, _ = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert not re.search(r"step \d+/\d+|\d+ running", said), "a finished demo trains nothing"
    after = MlflowTracker(Settings.load({"LAB_HOME": str(tmp_path / ".lab")})).runs()
    assert [run.run_id for run in after] == [run.run_id for run in runs]

"""Every part of a sweep killed at random, and the record of it whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def soak(home: Path, kills: int, trials: int, timeout: int, seed: int = 0) -> str:
    """What the soak said. Asserts that it passed."""
    command = [sys.executable, "-m", "benchmarks.soak", "--home", str(home)]
    command += ["--kills", str(kills), "--trials", str(trials), "--seed", str(seed)]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}"}
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.timeout(600)
def test_a_server_a_command_and_a_node_killed_leave_the_record_of_an_undisturbed_sweep(
    tmp_path: Path,
) -> None:
    """Most of a minute, the shortest of its kind."""
    said = soak(tmp_path, kills=3, trials=2, timeout=590, seed=7)
    assert "3 kills (1 server, 1 command, 1 node)" in said
    assert "every run once, each step once, nothing left running" in said


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_after_one_kill_of_every_kind_the_record_is_that_of_an_undisturbed_sweep(tmp_path: Path) -> None:
    said = soak(tmp_path, kills=6, trials=4, timeout=870)
    assert "1 command" in said
    assert "1 node" in said
    assert "1 server" in said
    assert "every run once, each step once, nothing left running" in said


@pytest.mark.slow
@pytest.mark.timeout(7300)
def test_a_hundred_kills_leave_the_record_of_an_undisturbed_sweep(tmp_path: Path) -> None:
    assert "100 kills" in soak(tmp_path, kills=100, trials=60, timeout=7200)

"""Ray on this machine: what is said where it does not start."""

import tempfile
from pathlib import Path

import pytest

from lab import Resources, Settings, cluster
from lab.errors import LabError


def test_where_ray_cannot_start_one_line_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The paths of its sockets would be too long."""
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with (
        pytest.raises(LabError, match=r"Ray did not start on this machine \(.*AF_UNIX path length") as told,
        cluster.connected(Settings.load({}, tmp_path), Resources(), groups=False),
    ):
        pass
    assert "\n" not in str(told.value)
    assert not list(long.iterdir())

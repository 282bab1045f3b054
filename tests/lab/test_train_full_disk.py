"""Checkpoints on a disk that is full: a real one, a small tmpfs."""

import subprocess
from pathlib import Path

import pytest

from lab import Evaluation, Resources, Steps
from lab.errors import CheckpointError
from lab.run import run_one
from lab.tracking.mlflow import MlflowTracker
from lab.tracking.tracker import Status
from lab.train.run import train
from tests.lab.failing import WatchedData, once_saved, settings_in
from tests.lab.toy import Ledger, toy_spec


class Disk:
    """A file system of 256 kB."""

    def __init__(self, place: Path) -> None:
        self.place, self.ballast = place, place / "ballast"

    def fill(self) -> None:
        with self.ballast.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(512)):
                    pass
            except OSError:
                return

    def clear(self) -> None:
        self.ballast.unlink()

    def checkpoints(self, spec) -> list[str]:
        return sorted(path.name for path in (self.place / spec.digest).glob("*"))


@pytest.fixture
def disk(tmp_path):
    place = tmp_path / "checkpoints"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount a file system")
    yield Disk(place)
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_first_checkpoint_that_does_not_fit_ends_the_run_with_its_place_and_leaves_nothing(disk):
    spec = toy_spec(duration=Steps(30))
    disk.fill()
    with pytest.raises(CheckpointError, match=rf"under .*{disk.place}.*No space left on device") as told:
        train(spec, data_root="", storage=str(disk.place), sink=Ledger(), checkpoint_every=0)
    assert "\n" not in str(told.value)
    assert not [name for name in disk.checkpoints(spec) if name.startswith("step-")]
    disk.clear()
    train(spec, data_root="", storage=str(disk.place), sink=Ledger(), checkpoint_every=0)
    assert [name for name in disk.checkpoints(spec) if "step" in name] == ["step-000000029", "step-000000030"]


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_a_disk_that_stays_full_fails_the_run_and_with_room_the_same_command_continues(
    disk, tmp_path, capsys
):
    spec = toy_spec(data=WatchedData(), duration=Steps(1000), evaluation=Evaluation(every=Steps(500)))
    settings = settings_in(str(tmp_path), f"sqlite:///{tmp_path}/record.db", patience=60)
    tracker = MlflowTracker(settings)

    def command():
        return run_one(
            spec, name="toy", scale="laptop", resources=Resources(cpus=0.5), settings=settings,
            tracker=tracker,
        )  # fmt: skip

    with once_saved(settings, spec, disk.fill), pytest.raises(CheckpointError, match="No space left") as told:
        command()
    (failed,) = tracker.runs()
    assert (failed.status, failed.tags["reason"]) == (Status.FAILED, str(told.value))

    disk.clear()
    whole = command()
    assert (whole.status, whole.attempts) == (Status.COMPLETE, 2)
    assert "continuing after step" in capsys.readouterr().out
    assert [step for step, _ in tracker.history(whole.run_id, "validation/top1")] == [500, 1000]

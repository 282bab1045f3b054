"""What is on record is returned as it is, or refused where its data are others; nothing begins in vain."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import Ablation, Case, Resources, Settings, cluster
from lab.errors import CheckpointError, DataChanged
from lab.origin import origin
from lab.run import run_one, run_sweep
from lab.tracking.lease import this_process
from lab.tracking.memory import MemoryTracker
from lab.tracking.tracker import RunRecord, Status
from tests.lab.toy import prepare_toy, toy_spec


def test_a_finished_run_is_returned_only_while_its_data_are_there(tmp_path: Path) -> None:
    settings = Settings("memory", str(tmp_path), str(tmp_path), data=str(tmp_path / "data"))
    tracker, spec = MemoryTracker(), toy_spec()

    def again() -> RunRecord:
        return run_one(
            spec, name="toy", scale="laptop", resources=Resources(), settings=settings, tracker=tracker
        )

    prepare_toy(tmp_path / "data", edition=1)
    made = tracker.begin(spec, name="toy", owner=this_process(), tags=origin(spec, settings))
    tracker.end(made.run_id, Status.COMPLETE)
    assert again().run_id == made.run_id
    prepare_toy(tmp_path / "data", edition=2)
    with pytest.raises(
        DataChanged, match=rf"toy seed 0 \({spec.digest}\) was made from toy toy.1, but .* toy.2"
    ):
        again()
    prepare_toy(tmp_path / "data", edition=1)
    assert again().run_id == made.run_id


def test_the_password_in_an_address_of_data_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    address = "s3://name:password@bucket/data"
    settings = Settings("memory", str(tmp_path), str(tmp_path), data=address)
    tracker, spec = MemoryTracker(), toy_spec()
    made = tracker.begin(spec, name="toy", owner=this_process(), tags={"fingerprint": "another"})
    tracker.end(made.run_id, Status.COMPLETE)
    with pytest.raises(DataChanged, match=r"but s3://\*\*\*@bucket/data holds toy") as refused:
        run_one(spec, name="toy", scale="laptop", resources=Resources(), settings=settings, tracker=tracker)
    assert "password" not in str(refused.value)


def test_where_checkpoints_can_have_no_place_a_run_is_refused_before_it_is_begun(tmp_path: Path) -> None:
    prepare_toy(tmp_path / "data", edition=1)
    (tmp_path / "file").touch()
    settings = Settings("memory", str(tmp_path), str(tmp_path / "file"), data=str(tmp_path / "data"))
    tracker = MemoryTracker()
    with pytest.raises(CheckpointError, match=r"cannot list .*/file/.*: Not a directory\. .*LAB_STORAGE"):
        run_one(
            toy_spec(),
            name="toy",
            scale="laptop",
            resources=Resources(),
            settings=settings,
            tracker=tracker,
        )
    assert not tracker.runs()


def test_where_checkpoints_can_have_no_place_a_sweep_begins_no_run_and_no_ray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "connected", lambda *of, **how: pytest.fail("Ray was started"))
    prepare_toy(tmp_path / "data", edition=1)
    (tmp_path / "file").touch()
    settings = Settings("memory", str(tmp_path), str(tmp_path / "file"), data=str(tmp_path / "data"))
    tracker = MemoryTracker()
    sweep = Ablation("toy", "laptop", (Case("one", toy_spec()),), seeds=(0,))
    with pytest.raises(CheckpointError, match=r"cannot list .*/file/.*: Not a directory\. .*LAB_STORAGE"):
        run_sweep(sweep, resources=Resources(), settings=settings, tracker=tracker)
    assert not tracker.runs()

"""Checkpoints: complete or absent, checked, and never unpickled."""

import json
import logging
import os
from pathlib import Path

import pytest
import torch

from lab.errors import CheckpointError
from lab.train.checkpoint import Checkpoint, CheckpointStore


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(
        step, {"w": torch.full((3,), float(step))}, {"w.exp_avg": torch.ones(3)}, {"loss": 0.1 + 0.2}
    )


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(str(tmp_path), "abc")


def test_what_was_saved_is_loaded_to_the_bit(store):
    store.save(checkpoint(5))
    found = store.latest()
    assert found.step == 5
    assert torch.equal(found.model["w"], torch.full((3,), 5.0))
    assert torch.equal(found.optimizer["w.exp_avg"], torch.ones(3))
    assert found.notes == {"loss": 0.1 + 0.2}


def test_without_a_checkpoint_there_is_none(store):
    assert store.latest() is None


def test_the_newest_two_are_kept(store):
    for step in (1, 2, 10):
        store.save(checkpoint(step))
    assert store.steps() == [10, 2]
    assert sorted(path.name for path in Path(store.address).iterdir()) == ["step-000000002", "step-000000010"]


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(store, caplog, file, damage):
    store.save(checkpoint(1))
    store.save(checkpoint(2))
    path = Path(store.address) / "step-000000002" / file
    content = bytearray(path.read_bytes())
    if damage == "flip":
        position = content.index(b"abc") if file == "state.json" else -1
        content[position] ^= 1
    path.write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    if damage == "gone":
        path.unlink()
    with caplog.at_level(logging.WARNING):
        assert store.latest().step == 1
    assert "step-000000002 is damaged" in caplog.text
    assert "Falling back to the one before it." in caplog.text


def test_a_note_that_was_tampered_with_is_noticed(store):
    store.save(checkpoint(1))
    path = Path(store.address) / "step-000000001" / "state.json"
    state = json.loads(path.read_text())
    state["notes"]["loss"] = 0.5
    path.write_text(json.dumps(state))
    with pytest.raises(CheckpointError, match="checksums differ"):
        store.load(1)


def test_a_half_written_checkpoint_does_not_count_and_is_cleared_by_the_next(store):
    store.save(checkpoint(1))
    partial = Path(store.address) / ".partial-step-000000002"
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(b"half")
    assert store.latest().step == 1
    store.save(checkpoint(3))
    assert not partial.exists()


def test_saving_a_step_again_replaces_it(store):
    store.save(checkpoint(4))
    (Path(store.address) / "step-000000004" / "state.json").write_text("damaged")
    store.save(checkpoint(4))
    assert store.load(4).step == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(CheckpointError, match="Permission denied") as caught:
        CheckpointStore(str(tmp_path), "abc").save(checkpoint(1))
    assert "\n" not in str(caught.value)


def test_a_storage_that_is_a_file_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        CheckpointError, match=r"cannot write the checkpoint of step 1 .* set LAB_STORAGE"
    ) as caught:
        CheckpointStore(str(tmp_path / "file"), "abc").save(checkpoint(1))
    assert "\n" not in str(caught.value)

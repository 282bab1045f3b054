"""Which checkpoints are kept: said in one short text, and done."""

import pytest
import torch

from lab import Epochs, Settings, Steps
from lab.errors import SpecError
from lab.retention import Retention
from lab.train.checkpoint import Checkpoint, CheckpointStore


def checkpoint(step: int, size: int = 3) -> Checkpoint:
    return Checkpoint(step, {"w": torch.full((size,), float(step))}, {})


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2", Retention()),
        ("3", Retention(3)),
        ("1,every=10000", Retention(1, Steps(10_000))),
        ("every=500 steps", Retention(2, Steps(500))),
        ("every=10epochs, bytes=20GB", Retention(2, Epochs(10), 20 * 10**9)),
        ("bytes=1.5TB", Retention(bytes=1_500_000_000_000)),
    ],
)
def test_a_policy_is_one_short_text(text, meant):
    assert Retention.parse(text) == meant
    assert Settings.load({"LAB_KEEP": text}).retention == meant


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0", "at least the newest checkpoint is kept, got 0"),
        ("-1", "'-1' is not a whole number"),
        ("two", "'two' is not a whole number"),
        ("2,3", "'newest' is not expected here"),
        ("2,evry=5", "'evry' is not expected here. Did you mean 'every'?"),
        ("every=0", "Steps must be 1 or more, got 0"),
        ("every=0epochs", "Epochs must be greater than 0"),
        ("bytes=20", "'20' is not a number of kB, MB, GB or TB"),
        ("bytes=0GB", "bytes of checkpoints must be 1 or more, got 0"),
    ],
)
def test_nonsense_is_refused_in_one_line(text, message):
    with pytest.raises(SpecError) as refused:
        Settings.load({"LAB_KEEP": text})
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_milestones_are_kept_besides_the_newest(tmp_path):
    store = CheckpointStore(str(tmp_path), "abc", Retention(2, Steps(10)), milestone=10)
    for step in (4, 10, 17, 20, 23, 28, 30, 31):
        store.save(checkpoint(step))
    assert store.steps() == [31, 30, 20, 10]


def test_a_quota_holds_while_the_next_one_is_written_and_the_oldest_go_first(tmp_path):
    """Three fit: 4,000 bytes of weights each, and less than a thousand of everything else."""
    store = CheckpointStore(str(tmp_path), "abc", Retention(9, bytes=14_999), milestone=None)
    for step in range(1, 7):
        store.save(checkpoint(step, 1000))
        assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) < 15_000
    assert store.steps() == [6, 5, 4]


def test_a_quota_too_small_for_one_leaves_the_newest(tmp_path):
    store = CheckpointStore(str(tmp_path), "abc", Retention(2, bytes=1))
    for step in (1, 2, 3):
        store.save(checkpoint(step))
        assert store.latest().step == step
    # The one before is kept until the next is written: else a kill between would leave nothing.
    assert store.steps() == [3, 2]


def test_what_is_damaged_is_not_counted_as_kept_and_never_pushes_out_what_is_sound(tmp_path):
    first = CheckpointStore(str(tmp_path), "abc")
    for step in (1, 2):
        first.save(checkpoint(step))
    (tmp_path / "abc" / "step-000000002" / "model.safetensors").write_bytes(b"")
    store = CheckpointStore(str(tmp_path), "abc", Retention(2, bytes=1))
    assert store.latest().step == 1
    store.save(checkpoint(3))
    assert store.steps() == [3, 1]

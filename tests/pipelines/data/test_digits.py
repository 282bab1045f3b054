from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from lab.errors import DataError, MissingDataset, SpecError, UnknownName
from lab.spec import Dataset, Shard, Source
from pipelines.data import Digits, digits


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("data"))
    digits.prepare(folder)
    return folder


def everything(root: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Ink counts (n, 64) and labels of a split, as evaluation sees it, without the padding."""
    batches = list(Digits().open(root).scan(split, batch_size=64))
    kept = torch.cat([batch.weights for batch in batches]) == 1
    inputs = torch.cat([batch.inputs for batch in batches])[kept].double().numpy()
    ink = np.rint(inputs * digits.STD + digits.MEAN).astype(int).reshape(-1, 64)
    return ink, torch.cat([batch.targets for batch in batches])[kept].numpy()


def test_the_splits_together_are_scikit_learns_digits(root: str) -> None:
    parts = [everything(root, split) for split in ("train", "validation", "test")]
    assert [len(labels) for _, labels in parts] == [1197, 300, 300]
    ours = sorted(
        (label, *ink)
        for inks, labels in parts
        for ink, label in zip(inks.tolist(), labels.tolist(), strict=True)
    )
    bunch = load_digits()
    theirs = sorted(
        (label, *ink)
        for ink, label in zip(bunch.data.astype(int).tolist(), bunch.target.tolist(), strict=True)
    )
    assert ours == theirs


def test_every_split_holds_the_classes_in_proportion(root: str) -> None:
    share = np.bincount(load_digits().target) / 1797
    for split in ("train", "validation", "test"):
        _, labels = everything(root, split)
        assert np.abs(np.bincount(labels, minlength=10) - share * len(labels)).max() <= 1.5


def test_training_pixels_have_mean_0_and_deviation_1(root: str) -> None:
    ink, _ = everything(root, "train")
    assert ink.mean() == pytest.approx(digits.MEAN, abs=1e-4)
    assert ink.std() == pytest.approx(digits.STD, abs=1e-4)


def test_batches_have_the_promised_shapes(root: str) -> None:
    data = Digits()
    source = data.open(root)
    assert isinstance(data, Dataset)
    assert isinstance(source, Source)
    assert (source.size("train"), source.size("test")) == (1197, 300)
    batch = next(iter(source.batches("train", batch_size=30, seed=0, epoch=0, shard=Shard(1, 3))))
    assert batch.inputs.shape == (10, *data.input_shape)
    assert batch.inputs.dtype == torch.float32
    assert (batch.targets.shape, batch.targets.dtype) == ((10,), torch.int64)
    assert batch.weights.tolist() == [1.0] * 10


def test_shifted_digits_are_numpys_roll_with_zeros_moving_in(root: str) -> None:
    plain, shifted = Digits().open(root), Digits(shift=2).open(root)
    moves = set()
    batches = zip(
        *(s.batches("train", batch_size=100, seed=3, epoch=1) for s in (plain, shifted)), strict=True
    )
    for before, after in batches:
        for old, new in zip(_ink(before.inputs), _ink(after.inputs), strict=True):
            found = [(d, r) for d in range(-2, 3) for r in range(-2, 3) if (new == _rolled(old, d, r)).all()]
            assert found
            moves.update(found)
    assert len(moves) == 25


def test_evaluation_sees_unshifted_digits(root: str) -> None:
    for before, after in zip(
        *(d.open(root).scan("test", batch_size=50) for d in (Digits(), Digits(shift=3))), strict=False
    ):
        assert torch.equal(before.inputs, after.inputs)


def test_unprepared_digits_say_how_to_prepare_them(tmp_path: Path) -> None:
    with pytest.raises(MissingDataset, match="run: lab data prepare digits"):
        Digits().open(str(tmp_path))


def test_mistakes_are_answered_with_the_way_out(root: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="from 0 to 7, got 8"):
        Digits(shift=8)
    with pytest.raises(SpecError, match="leave it out"):
        digits.prepare(str(tmp_path), source="somewhere")
    with pytest.raises(UnknownName, match="Did you mean 'validation'"):
        Digits().open(root).size("validaton")
    with pytest.raises(DataError, match="set batch_size to 300 or less"):
        Digits().open(root).batches("test", batch_size=301, seed=0, epoch=0)


def _ink(inputs: torch.Tensor) -> np.ndarray:
    return np.rint(inputs[..., 0].double().numpy() * digits.STD + digits.MEAN)


def _rolled(image: np.ndarray, down: int, right: int) -> np.ndarray:
    rolled = np.roll(image, (down, right), axis=(0, 1))
    rows, columns = np.indices(image.shape)
    outside = (rows - down < 0) | (rows - down > 7) | (columns - right < 0) | (columns - right > 7)
    return np.where(outside, 0, rolled)

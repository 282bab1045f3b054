"""MixUp and CutMix: what is in the images is what the targets say, on any number of workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest

from lab import Classification
from lab.errors import SpecError
from lab.spec import Batch, Shard
from pipelines.data import Mixing
from pipelines.data.counter import Draws

CLASSES = 40
EVERY = torch.arange(CLASSES)


def plain(size: int, height: int = 5, width: int = 7) -> Batch:
    """Image i has colour i everywhere, and class i."""
    images = torch.arange(float(size)).reshape(-1, 1, 1, 1).expand(-1, height, width, 3).clone()
    return Batch(images, torch.arange(size), torch.ones(size), torch.arange(100, 100 + size))


def mixed(mixing: Mixing, batch: Batch, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    result = mixing.mixed(batch, CLASSES, first=0, draw=lambda example: Draws.of(seed, 0, example))
    assert isinstance(result.inputs, torch.Tensor)
    assert torch.equal(result.ids, batch.ids)
    return result.inputs, result.targets


def shares(mixing: Mixing, seeds: int = 50) -> torch.Tensor:
    """(seeds, CLASSES): how much of an example is itself."""
    targets = [mixed(mixing, plain(CLASSES), seed)[1] for seed in range(seeds)]
    return torch.stack([each[EVERY, EVERY] for each in targets])


@pytest.mark.parametrize("mixing", [Mixing(), Mixing(cutmix=None), Mixing(mixup=None)])
def test_targets_are_the_shares_of_an_image_and_its_neighbour(mixing: Mixing) -> None:
    """By the colours of a mixture, whose mean over all pixels is the mean of its classes."""
    images, targets = mixed(mixing, plain(CLASSES))
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(CLASSES))
    torch.testing.assert_close(images.mean(dim=(1, 2, 3)), targets @ EVERY.float())
    for example in range(CLASSES):
        others = set(torch.nonzero(targets[example]).flatten().tolist()) - {example}
        assert others <= {example + 1 if example % 2 == 0 else example - 1}


def test_mixup_is_the_same_everywhere_and_cutmix_is_a_box() -> None:
    averaged, _ = mixed(Mixing(cutmix=None), plain(CLASSES))
    assert (averaged == averaged[:, :1, :1]).all()
    pasted, targets = mixed(Mixing(mixup=None), plain(CLASSES, 24, 36))
    boxes = 0
    for example, image in enumerate(pasted[..., 0]):
        foreign = image != example
        assert image[foreign].unique().numel() <= 1
        assert torch.equal(foreign, foreign.any(dim=1)[:, None] & foreign.any(dim=0)[None, :])
        assert int(foreign.sum()) == pytest.approx(24 * 36 * (1 - float(targets[example, example])), abs=1e-3)
        boxes += bool(foreign.any())
    assert boxes > CLASSES / 2


def test_half_of_the_pairs_are_averaged_and_half_are_cut() -> None:
    """With shares near a half: an averaged image holds a colour that no image has."""
    images, _ = mixed(Mixing(mixup=100.0), plain(CLASSES))
    averaged = [bool((image != image.round()).any()) for image in images]
    assert averaged == [example // 2 % 2 == 0 for example in range(CLASSES)]


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_in_mixup_have_the_beta_distribution(alpha: float) -> None:
    drawn = shares(Mixing(mixup=alpha, cutmix=None)).flatten().double().numpy()
    assert kstest(drawn, beta(alpha, alpha).cdf).pvalue > 0.01


def test_boxes_in_cutmix_have_the_area_drawn_for_them_less_what_the_borders_cut_off() -> None:
    """Uniform areas and centres: the expectation over both, written out."""
    own = [
        float(mixed(Mixing(mixup=None), plain(CLASSES, 100, 100), seed)[1].diagonal().mean())
        for seed in range(50)
    ]
    side = np.sqrt((np.arange(1000) + 0.5) / 1000)
    # A box of side s centred at c covers min(1, c + s/2) - max(0, c - s/2): s - s^2/4 on average.
    expected = 1 - np.mean((side - side**2 / 4) ** 2)
    assert np.mean(own) == pytest.approx(expected, abs=0.02)


def test_eight_bit_pixels_are_mixed_to_the_nearest_level() -> None:
    random = np.random.default_rng(0).integers(0, 256, (CLASSES, 6, 6, 3), np.uint8)
    batch = Batch(torch.from_numpy(random), torch.arange(CLASSES), torch.ones(CLASSES), torch.arange(CLASSES))
    images, targets = mixed(Mixing(cutmix=None), batch)
    assert images.dtype == torch.uint8
    exact = np.einsum("be,ehwc->bhwc", targets.double().numpy(), random.astype(float))
    assert np.abs(images.numpy() - exact).max() < 0.501


def test_the_loss_of_a_mixture_is_the_mixture_of_the_losses() -> None:
    """Against torch's cross-entropy of class indices, with the smoothing of the Perceiver IO recipe."""
    _, targets = mixed(Mixing(), plain(CLASSES))
    logits = torch.randn(CLASSES, CLASSES, generator=torch.Generator().manual_seed(0), requires_grad=True)
    task = Classification(label_smoothing=0.1)
    share = targets.diagonal()
    own, other = (
        torch.nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=0.1)
        for labels in (EVERY, EVERY ^ 1)
    )
    expected = share * own + (1 - share) * other
    ours = task.losses(logits, targets)
    torch.testing.assert_close(ours, expected)
    (gradient,) = torch.autograd.grad(ours.sum(), logits, retain_graph=True)
    (written_out,) = torch.autograd.grad(expected.sum(), logits)
    torch.testing.assert_close(gradient, written_out)


@dataclass(frozen=True)
class Squares:
    """The stored numbers as images of one colour, mixed in training."""

    mixing: Mixing | None
    name: str = "numbers"
    columns: tuple[str, ...] = ("label", "payload")
    threads: int = 1
    num_classes: int = 2

    def decode(self, row: Any, draws: Any) -> tuple[float, int]:
        return int.from_bytes(row["payload"][:4], "little") + (draws.uniform() if draws else 0), row["label"]

    def collate(self, examples: Sequence[tuple[float, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        colours = torch.tensor([colour for colour, _ in examples]).reshape(-1, 1, 1, 1)
        return colours.expand(-1, 8, 8, 3).clone(), torch.tensor([label for *_, label in examples]).long()


OPTIONS: dict[str, Any] = {"batch_size": 16, "seed": 5, "epoch": 1}


@pytest.mark.parametrize("world", [2, 4, 8])
def test_the_number_of_workers_changes_no_mixture(numbers: Any, world: int) -> None:
    numbers.prepare(100)
    source = numbers.open(view=Squares(Mixing()))
    alone = list(source.batches("train", **OPTIONS))
    slices = [list(source.batches("train", shard=Shard(rank, world), **OPTIONS)) for rank in range(world)]
    for step, whole in enumerate(alone):
        for name in ("inputs", "targets", "ids"):
            together = torch.cat([getattr(each[step], name) for each in slices])
            assert torch.equal(together, getattr(whole, name))


def test_resuming_changes_no_mixture_and_the_next_epoch_has_others(numbers: Any) -> None:
    numbers.prepare(100)
    source = numbers.open(view=Squares(Mixing()))
    alone = list(source.batches("train", **OPTIONS))
    resumed = list(source.batches("train", start=4, **OPTIONS))
    assert len(resumed) == len(alone) - 4 == 2
    for mine, theirs in zip(resumed, alone[4:], strict=True):
        assert torch.equal(mine.inputs, theirs.inputs)
        assert torch.equal(mine.targets, theirs.targets)
    (other, *_) = source.batches("train", **(OPTIONS | {"epoch": 2}))
    assert not torch.equal(other.targets, alone[0].targets)


def test_evaluation_and_data_sets_without_mixing_keep_class_indices(numbers: Any) -> None:
    numbers.prepare(100)
    mixing, plain = (numbers.open(view=Squares(each)) for each in (Mixing(), None))
    (scanned, *_) = mixing.scan("test", batch_size=8)
    (trained, *_) = plain.batches("train", **OPTIONS)
    assert scanned.targets.dtype == trained.targets.dtype == torch.int64
    assert scanned.targets.tolist() == [int(image[0, 0, 0]) % 2 for image in scanned.inputs]


@pytest.mark.parametrize(("batch_size", "world"), [(15, 1), (10, 2), (16, 16), (16, 3)])
def test_workers_that_would_tear_a_pair_apart_are_refused_on_every_rank(
    numbers: Any, batch_size: int, world: int
) -> None:
    numbers.prepare(100)
    source = numbers.open(view=Squares(Mixing()))
    for rank in range(world):
        with pytest.raises(SpecError, match=f"set batch_size to a multiple of {2 * world}"):
            source.batches("train", batch_size=batch_size, seed=0, epoch=0, shard=Shard(rank, world))


def test_impossible_mixings_are_refused() -> None:
    with pytest.raises(SpecError, match="mixup is the alpha of a Beta distribution, above 0, got 0"):
        Mixing(mixup=0)
    with pytest.raises(SpecError, match="neither mixup nor cutmix: say mixing=None"):
        Mixing(mixup=None, cutmix=None)

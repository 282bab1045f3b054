"""MixUp (Zhang et al. 2018) and CutMix (Yun et al. 2019): training images that are parts of two."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lab.errors import SpecError
from lab.spec import Batch
from pipelines.data.counter import Draws


@dataclass(frozen=True)
class Mixing:
    """Neighbours in a global batch, the images 2k and 2k + 1, are mixed with one another.

    mixup: an image is averaged with its partner, its own share drawn from Beta(mixup, mixup); None: not
    cutmix: a box of the partner replaces that part of it; the share of the box is drawn from
        Beta(cutmix, cutmix) before it is cut off at the borders; None: not

    With both, every other pair is cut and the rest averaged. Perceiver IO trained so, at 0.2 and 1, with
    smoothed labels; this paper does not (docs/paper.md section 3.2). That both of a pair become mixtures of
    the two is assumed (there, two batches make one). Batches are in random order, and neighbours are on the
    same worker.
    """

    mixup: float | None = 0.2
    cutmix: float | None = 1.0

    def __post_init__(self) -> None:
        for name, alpha in (("mixup", self.mixup), ("cutmix", self.cutmix)):
            if alpha is not None and not (alpha > 0 and math.isfinite(alpha)):
                raise SpecError(f"Mixing.{name} is the alpha of a Beta distribution, above 0, got {alpha}.")
        if self.mixup is None and self.cutmix is None:
            raise SpecError("Mixing does neither mixup nor cutmix: say mixing=None instead.")

    def require_pairs(self, batch_size: int, workers: int) -> None:
        """Raises SpecError when a pair of the global batch would be torn between two workers."""
        if any(rank * batch_size // workers % 2 for rank in range(workers + 1)):
            raise SpecError(
                f"mixing pairs neighbours, which a batch of {batch_size:,} over {workers:,} worker(s) tears "
                f"apart: set batch_size to a multiple of {2 * workers:,}."
            )

    def mixed(self, batch: Batch, classes: int, first: int, draw: Callable[[int], Draws]) -> Batch:
        """The batch (b, h, w, c), which begins at place `first` of the global batch, as mixtures; targets
        (b, classes) are the shares of the classes.

        `draw` gives the draws of an example: a mixture is the same on any worker and after any resume.
        """
        images = batch.inputs
        assert isinstance(images, Tensor)
        mixtures, shares = torch.empty_like(images), torch.empty(len(images))
        for place, example in enumerate(batch.ids.tolist()):
            mix = self._way((first + place) // 2)
            mixtures[place], shares[place] = mix(images[place], images[place ^ 1], draw(example))
        labels = one_hot(batch.targets, classes).float()
        partners = labels.reshape(-1, 2, classes).flip(1).reshape(-1, classes)
        return replace(batch, inputs=mixtures, targets=torch.lerp(partners, labels, shares[:, None]))

    def _way(self, pair: int) -> Callable[[Tensor, Tensor, Draws], tuple[Tensor, float]]:
        """What is done in a pair of the global batch."""
        if self.cutmix is not None and (self.mixup is None or pair % 2):
            return partial(cut_and_pasted, self.cutmix)
        assert self.mixup is not None
        return partial(averaged, self.mixup)


def averaged(alpha: float, own: Tensor, other: Tensor, draws: Draws) -> tuple[Tensor, float]:
    """(MixUp of two images, share of the first). 8-bit pixels are rounded."""
    share = _beta(alpha, draws)
    mixture = torch.lerp(other.float(), own.float(), share)
    return mixture if own.is_floating_point() else mixture.round(), share


def cut_and_pasted(alpha: float, own: Tensor, other: Tensor, draws: Draws) -> tuple[Tensor, float]:
    """(The first image (h, w, c) with a box of the second, share of its pixels that are left)."""
    height, width, _ = own.shape
    side = math.sqrt(1 - _beta(alpha, draws))
    x, y = draws.integer(0, width - 1), draws.integer(0, height - 1)
    across, down = int(side * width) // 2, int(side * height) // 2
    left, right = max(0, x - across), min(width, x + across)
    top, bottom = max(0, y - down), min(height, y + down)
    mixture = own.clone()
    mixture[top:bottom, left:right] = other[top:bottom, left:right]
    return mixture, 1 - (bottom - top) * (right - left) / (height * width)


def _beta(alpha: float, draws: Draws) -> float:
    """A number distributed as Beta(alpha, alpha)."""
    from scipy.special import betaincinv

    return float(betaincinv(alpha, alpha, draws.uniform()))

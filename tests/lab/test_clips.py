"""Scores of examples that are scored several times."""

import numpy as np
import pytest
import torch
from torch import Tensor

from lab.clips import averaged, each_clip
from lab.errors import DataError


def test_a_score_is_the_mean_over_the_clips_of_an_example() -> None:
    inputs = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    scores = averaged(lambda clip: clip.square().sum(dim=1).sqrt(), inputs, (4,))
    np.testing.assert_allclose(scores, np.linalg.norm(inputs.numpy(), axis=2).mean(axis=1), rtol=1e-6)


def test_inputs_without_clips_are_scored_as_they_are() -> None:
    inputs = torch.randn(3, 4)
    assert torch.equal(averaged(torch.sigmoid, inputs, (4,)), torch.sigmoid(inputs))
    assert next(each_clip(inputs, (4,))) is inputs


def test_the_clips_of_all_modalities_go_together() -> None:
    inputs = {"audio": torch.randn(2, 3, 7), "video": torch.randn(2, 3, 4, 5)}
    shapes = {"video": (4, 5), "audio": (7,)}

    def product(clip: dict[str, Tensor]) -> Tensor:
        return clip["audio"].sum(dim=1) * clip["video"].sum(dim=(1, 2))

    by_hand = inputs["audio"].numpy().sum(axis=2) * inputs["video"].numpy().sum(axis=(2, 3))
    np.testing.assert_allclose(averaged(product, inputs, shapes), by_hand.mean(axis=1), rtol=1e-4, atol=1e-5)


def test_one_clip_at_a_time_is_scored() -> None:
    seen = []
    averaged(lambda clip: seen.append(tuple(clip.shape)) or clip, torch.zeros(2, 16, 3), (3,))
    assert seen == [(2, 3)] * 16


def test_inputs_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"got \(2, 4\)"):
        averaged(torch.sigmoid, torch.zeros(2, 4), (3,))
    with pytest.raises(DataError, match="modalities"):
        averaged(torch.sigmoid, torch.zeros(2, 4), {"audio": (4,), "video": (3,)})

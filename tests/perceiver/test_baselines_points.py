"""PointNet++: its published size, and its geometry against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perceiver import ConfigError, Fourier, Points
from perceiver.baselines import PointNetPlusPlus, ResNet, SetAbstraction, ViT
from perceiver.baselines.pointnet import ball, farthest_points

CLOUD = torch.rand(2, 60, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
SMALL = PointNetPlusPlus(
    Points(60),
    (SetAbstraction(16, 0.5, 8, (8, 16)), SetAbstraction(4, 1.0, 4, (16,))),
    global_widths=(32,),
    head_widths=(16,),
    num_classes=5,
)


def test_pointnet_plus_plus_has_the_published_size() -> None:
    """1.48M parameters and 1,684M operations, as counted by Liu et al., RS-CNN, CVPR 2019."""
    published = PointNetPlusPlus(Points(1024))
    assert published.parameters() == 1_475_688
    assert round(published.parameters() / 1e6, 2) == 1.48
    assert published.flops() == pytest.approx(1684e6, rel=1e-2)


def test_counted_parameters_are_those_of_the_built_model() -> None:
    assert SMALL.parameters() == sum(p.numel() for p in SMALL.build().parameters())


def test_farthest_points_are_those_that_a_greedy_search_finds() -> None:
    places = farthest_points(CLOUD, 20).numpy()
    for cloud, found in zip(CLOUD.double().numpy(), places, strict=True):
        chosen = [0]
        while len(chosen) < 20:
            distances = np.linalg.norm(cloud[:, None] - cloud[chosen], axis=-1).min(axis=1)
            chosen.append(int(distances.argmax()))
        assert found.tolist() == chosen


def test_balls_hold_the_first_points_within_the_radius_and_nothing_else() -> None:
    centres = CLOUD[:, ::7]
    places = ball(centres, CLOUD, radius=0.6, neighbours=6)
    assert places.shape == (2, centres.shape[1], 6)
    for cloud, row, found in zip(CLOUD.numpy(), centres.numpy(), places.numpy(), strict=True):
        for centre, members in zip(row, found, strict=True):
            inside = np.flatnonzero(np.linalg.norm(cloud - centre, axis=-1) <= 0.6)
            expected = np.resize(inside[:1], 6)
            expected[: len(inside[:6])] = inside[:6]
            assert members.tolist() == expected.tolist()


def test_a_cloud_moved_as_a_whole_has_the_same_neighbourhoods() -> None:
    moved = CLOUD + torch.tensor([0.25, -0.5, 0.125])
    assert torch.equal(farthest_points(CLOUD, 8), farthest_points(moved, 8))


def test_order_of_the_points_after_the_first_does_not_change_the_logits() -> None:
    """Balls large enough to hold all their points leave nothing to chance but the first centre."""
    roomy = PointNetPlusPlus(Points(60), (SetAbstraction(16, 0.5, 60, (8,)),), (16,), (8,), num_classes=5)
    model = roomy.build().eval()
    order = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.randperm(59)])
    torch.testing.assert_close(model(CLOUD[:, order]), model(CLOUD))


def test_gradients_reach_every_parameter() -> None:
    model = SMALL.build()
    model(torch.cat([CLOUD, CLOUD.flip(1)])).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_impossible_networks_are_refused() -> None:
    with pytest.raises(ConfigError, match="must not exceed the 100 points"):
        PointNetPlusPlus(Points(100))
    with pytest.raises(ConfigError, match="positions must be None, given Fourier"):
        PointNetPlusPlus(Points(1024, positions=Fourier(4, 16)))


@pytest.mark.parametrize("patch", [2, 4, 8, 16])
def test_vit_b_takes_the_grid_of_modelnet40_with_every_patch_of_table_4(patch: int) -> None:
    """Everything but the patches' embedding and positions has the size of ViT-B, whatever the patch."""
    cloud = Points(44 * 44, positions=Fourier(64, 2240))
    vit = ViT(cloud, patch=patch, num_classes=40)
    patches = (-(-44 // patch)) ** 2
    rest = vit.parameters() - (patches + 1) * 768 - 387 * patch**2 * 768 - 40 * 769
    assert rest == 86_567_656 - 197 * 768 - 3 * 16**2 * 768 - 1000 * 769


def test_resnet_50_takes_the_grid_of_modelnet40() -> None:
    cloud = Points(44 * 44, positions=Fourier(64, 2240))
    assert ResNet(cloud, num_classes=40).parameters() == 25_557_032 + 384 * 64 * 49 - 960 * 2049

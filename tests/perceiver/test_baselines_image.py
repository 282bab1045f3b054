"""ResNet, ViT and Transformer: the published counts, and the same inputs as the Perceiver."""

from __future__ import annotations

import pytest
import torch

from perceiver import ConfigError, Fourier, Image, InputError, Points
from perceiver.baselines import Baseline, ResNet, Transformer, ViT

IMAGENET = Image(224, 224)
FOURIER = Fourier(64, 224)
DIGIT = Image(8, 8, 1, positions=Fourier(4, 8))

SMALL: dict[str, type[Baseline]] = {"resnet": ResNet, "vit": ViT, "transformer": Transformer}


def small(kind: str, inputs: Image | Points) -> Baseline:
    if kind == "resnet":
        return ResNet(inputs, (1, 1), (8, 16), residual="basic", stem="3x3", stem_width=8, num_classes=10)
    if kind == "vit":
        return ViT(inputs, patch=2, width=16, depth=2, heads=2, num_classes=10)
    return Transformer(inputs, width=16, depth=2, heads=2, num_classes=10)


def test_resnet_50_and_vit_b_16_have_the_published_number_of_parameters() -> None:
    assert ResNet(IMAGENET).parameters() == 25_557_032  # torchvision, He et al.
    assert ViT(IMAGENET).parameters() == 86_567_656  # torchvision, Dosovitskiy et al. (86M)


def test_resnet_50_and_vit_b_16_cost_the_published_multiply_adds() -> None:
    # torchvision lists 4.09 and 17.56 billion multiply-adds. It does not count the ViT's softmax.
    assert ResNet(IMAGENET).flops() == pytest.approx(2 * 4.09e9, rel=2e-3)
    softmax = 3 * 12 * 12 * 197**2
    assert ViT(IMAGENET).flops() == pytest.approx(2 * 17.56e9 + softmax, rel=5e-4)


def test_fourier_features_widen_only_the_first_layer() -> None:
    fourier = Image(224, 224, positions=FOURIER)
    assert ResNet(fourier).parameters() - ResNet(IMAGENET).parameters() == 258 * 64 * 7 * 7
    assert ViT(fourier).parameters() - ViT(IMAGENET).parameters() == 258 * 768 * 16 * 16


def test_first_layers_see_what_table_2_says() -> None:
    assert ResNet(IMAGENET).receptive_field == 49
    assert ViT(IMAGENET).receptive_field == 256
    assert Transformer(IMAGENET, grid=(64, 64)).receptive_field == 4096


@pytest.mark.parametrize("kind", SMALL)
def test_counted_parameters_are_those_of_the_built_model(kind: str) -> None:
    baseline = small(kind, DIGIT)
    assert baseline.parameters() == sum(p.numel() for p in baseline.build().parameters())


def test_transformer_layers_cost_what_the_latent_transformer_costs() -> None:
    one, two = (Transformer(IMAGENET, grid=(16, 32), width=1024, depth=depth).flops() for depth in (1, 2))
    assert two - one == pytest.approx(
        7.5225e9, rel=1e-4
    )  # docs/paper.md section 5: one self-attend, N = 512, D = 1024


@pytest.mark.parametrize("kind", SMALL)
def test_baselines_map_raw_images_to_finite_logits(kind: str) -> None:
    baseline = small(kind, DIGIT)
    logits = baseline.build()(torch.rand(3, *baseline.input_shape))
    assert logits.shape == (3, baseline.num_outputs)
    assert logits.isfinite().all()


@pytest.mark.parametrize("kind", SMALL)
def test_permutation_moves_pixels_together_with_their_positions(kind: str) -> None:
    """The permuted model is the plain one fed with the grid of the permuted elements."""
    torch.manual_seed(0)
    plain = small(kind, DIGIT).build().eval()
    torch.manual_seed(0)
    permuted = small(kind, Image(8, 8, 1, positions=DIGIT.positions, permutation=3)).build().eval()
    images = torch.rand(2, 8, 8, 1)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(3))
    expected = plain[1](plain[0](images)[:, order])
    torch.testing.assert_close(permuted(images), expected)


def test_only_the_transformer_is_indifferent_to_a_permutation() -> None:
    images = torch.rand(2, 8, 8, 1)
    changed = {}
    for kind in SMALL:
        logits = []
        for permutation in (None, 0):
            torch.manual_seed(0)
            inputs = Image(8, 8, 1, positions=DIGIT.positions, permutation=permutation)
            logits.append(small(kind, inputs).build().eval()(images))
        changed[kind] = not torch.allclose(logits[0], logits[1], atol=1e-5)
    assert changed == {"resnet": True, "vit": True, "transformer": False}


def test_images_are_scaled_down_before_positions_are_attached() -> None:
    baseline = Transformer(
        Image(16, 16, positions=Fourier(4, 8)), grid=(8, 8), width=16, depth=1, heads=2, num_classes=5
    )
    scale, model = baseline.build()
    constant = torch.full((1, 16, 16, 3), 0.25)
    torch.testing.assert_close(scale(constant), torch.full((1, 8, 8, 3), 0.25))
    torch.testing.assert_close(model[0](scale(constant))[0, 0, 3:5], torch.tensor([-1.0, -1.0]))
    assert baseline.input_shape == (16, 16, 3)


@pytest.mark.parametrize("kind", SMALL)
def test_clouds_of_points_lie_on_a_square(kind: str) -> None:
    baseline = small(kind, Points(49, positions=Fourier(3, 16)))
    assert baseline.build()(torch.rand(2, 49, 3)).shape == (2, 10)


def test_patches_that_do_not_divide_the_grid_are_completed_with_zeros() -> None:
    cloud = Points(44 * 44, positions=Fourier(64, 2240))
    assert {patch: ViT(cloud, patch=patch, num_classes=40).padding for patch in (2, 4, 8, 16)} == {
        2: (0, 0),
        4: (0, 0),
        8: (4, 4),
        16: (4, 4),
    }


def test_impossible_baselines_are_refused_in_one_line() -> None:
    cases = {
        "widths must be one per stage": lambda: ResNet(IMAGENET, (1, 1), (8,)),
        "try 1936 or 2025": lambda: ViT(Points(2000)),
        "must be divisible by heads": lambda: ViT(IMAGENET, width=100, heads=12),
        "must not exceed": lambda: Transformer(DIGIT, grid=(16, 16)),
        "did you mean 'basic'": lambda: ResNet(IMAGENET, residual="basics"),  # type: ignore[arg-type]
    }
    for words, construct in cases.items():
        with pytest.raises(ConfigError, match=words) as refused:
            construct()
        assert "\n" not in str(refused.value)


def test_wrong_grids_are_refused_with_both_shapes() -> None:
    scaled = Transformer(Image(16, 16), grid=(8, 8), width=16, depth=1, heads=2).build()
    for model in (scaled, small("resnet", Image(16, 16)).build()):
        with pytest.raises(InputError, match=r"16, 16, 3.*8, 8, 3"):
            model(torch.rand(2, 8, 8, 3))

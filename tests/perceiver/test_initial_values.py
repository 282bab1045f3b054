"""What a new model draws (docs/paper.md sections 1.2 and 1.3)."""

import math

import pytest
import torch

from perceiver import Fourier, Image, PerceiverConfig


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return PerceiverConfig(
        inputs=Image(8, 8, channels=3, positions=Fourier(30, 8)),
        num_latents=400,
        latent_channels=256,
        blocks=2,
        self_attends_per_block=1,
        cross_attends=2,
        num_classes=10,
    ).build()


def test_latents_are_normal_of_scale_002_cut_at_two_sigma_and_not_at_two(model):
    latents = model.latents.detach()
    assert 0.039 < latents.abs().max() <= 0.04
    assert abs(latents.mean()) < 0.0005
    # A unit normal cut at 2 has the standard deviation 0.8796; uncut it would be 0.02.
    assert abs(latents.std() / 0.02 - 0.8796) < 0.01


def test_linear_weights_have_variance_one_over_fan_in_and_are_cut_at_two_sigma(model):
    linears = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    linears.pop("head")
    assert len(linears) == 3 * 6
    for name, module in linears.items():
        scale = 1 / math.sqrt(module.in_features)
        assert abs(module.weight.std() / scale - 1) < 0.02, name
        assert module.weight.abs().max() <= 2 * scale / 0.8796 + 1e-6, name
        assert not module.bias.any(), name


def test_the_head_starts_at_zero_so_that_the_first_guess_is_uniform(model):
    assert not model(torch.rand(3, 8, 8, 3)).any()


def test_layer_norms_start_as_the_identity_with_epsilon_1e_5(model):
    norms = [module for module in model.modules() if isinstance(module, torch.nn.LayerNorm)]
    assert len(norms) == 2 * 3 + 2
    for norm in norms:
        assert norm.eps == 1e-5
        assert (norm.weight == 1).all()
        assert not norm.bias.any()


def test_the_same_seed_builds_the_same_model(model):
    def build():
        torch.manual_seed(7)
        return model.config.build().state_dict()

    first, second = build(), build()
    assert all(torch.equal(first[name], second[name]) for name in first)

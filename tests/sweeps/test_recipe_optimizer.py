"""LAMB as the recipes configure it, on the paper's model: Algorithm 2 of You et al. (2020), in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from lab import ExperimentSpec, Lamb
from lab.optim.build import build
from sweeps.experiments import audioset, imagenet
from sweeps.smaller import smaller

SPARED_LAYERS = (nn.LayerNorm, nn.BatchNorm1d, nn.BatchNorm2d)


def spared(model: nn.Module) -> set[str]:
    """Biases and all of LayerNorm and BatchNorm (docs/paper.md section 3.2)."""
    norms = {name for name, module in model.named_modules() if isinstance(module, SPARED_LAYERS)}
    return {
        name
        for name, _ in model.named_parameters()
        if name.endswith("bias") or name.rpartition(".")[0] in norms
    }


@pytest.mark.parametrize(
    "experiment",
    [
        imagenet.fourier,
        imagenet.fourier_official,
        imagenet.learned_official,
        imagenet.resnet,
        audioset.mel_video,
    ],
)
def test_steps_are_the_published_ones_with_decay_by_kind_of_parameter(
    experiment: Callable[[], ExperimentSpec],
) -> None:
    spec = experiment()
    choice = spec.optimizer
    assert isinstance(choice, Lamb)
    torch.manual_seed(0)
    model = smaller(spec.model).build().double()
    exempt = spared(model)
    ours = dict(model.named_parameters())
    weights = {name: weight.detach().numpy().copy() for name, weight in ours.items()}
    first = {name: np.zeros_like(weight) for name, weight in weights.items()}
    second = {name: np.zeros_like(weight) for name, weight in weights.items()}
    optimizer = build(choice, model)
    random = np.random.default_rng(0)
    for step in range(1, 6):
        for name, weight in weights.items():
            gradient = random.normal(size=weight.shape)
            ours[name].grad = torch.tensor(gradient)
            first[name] = choice.beta1 * first[name] + (1 - choice.beta1) * gradient
            second[name] = choice.beta2 * second[name] + (1 - choice.beta2) * gradient**2
            update = (first[name] / (1 - choice.beta1**step)) / (
                np.sqrt(second[name] / (1 - choice.beta2**step)) + choice.eps
            )
            if name not in exempt:
                update = update + choice.weight_decay * weight
            length, reach = np.linalg.norm(weight), np.linalg.norm(update)
            ratio = length / reach if length > 0 and reach > 0 else 1.0
            weights[name] = weight - choice.lr * ratio * update
        optimizer.step()
    for name, weight in weights.items():
        np.testing.assert_allclose(ours[name].detach().numpy(), weight, rtol=1e-11, atol=1e-13, err_msg=name)


def test_latents_and_learned_positions_are_decayed() -> None:
    model = smaller(imagenet.learned_official().model).build()
    decayed = {name for name, _ in model.named_parameters()} - spared(model)
    groups = build(Lamb(weight_decay=0.1), model).param_groups
    names = {id(weight): name for name, weight in model.named_parameters()}
    assert {names[id(weight)] for weight in groups[0]["params"]} == decayed
    assert any("latents" in name for name in decayed)
    assert any("positions" in name for name in decayed)

"""Which parameters are decayed, and that each configuration becomes the optimizer it names."""

import pytest
import torch
from torch import nn

from lab import AdamW, Lamb, Sgd
from lab.optim.build import build, parameter_groups
from tests.lab.toy import ToyModel


def names_with_decay(model: nn.Module) -> set[str]:
    decayed = {id(weight) for weight in parameter_groups(model, 0.1)[0]["params"]}
    return {name for name, weight in model.named_parameters() if id(weight) in decayed}


def test_biases_and_norms_are_spared_from_decay_while_latents_are_not():
    model = ToyModel(batch_norm=True).build()
    assert names_with_decay(model) == {"latents", "embed.weight", "first.weight", "head.weight"}


def test_the_packed_biases_of_torch_attention_are_spared_too():
    assert names_with_decay(nn.MultiheadAttention(8, 2)) == {"in_proj_weight", "out_proj.weight"}


@pytest.mark.parametrize("choice", [Lamb(weight_decay=0.1), AdamW(weight_decay=0.1), Sgd(weight_decay=0.1)])
def test_every_parameter_is_optimized_exactly_once(choice):
    model = ToyModel().build()
    optimizer = build(choice, model)
    optimized = [id(weight) for group in optimizer.param_groups for weight in group["params"]]
    assert sorted(optimized) == sorted(id(weight) for weight in model.parameters())
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]


def test_frozen_parameters_are_not_optimized():
    model = ToyModel().build()
    model.embed.requires_grad_(False)
    optimized = {id(weight) for group in build(Lamb(), model).param_groups for weight in group["params"]}
    assert id(model.embed.weight) not in optimized


@pytest.mark.parametrize(
    ("choice", "name"),
    [(Lamb(), "LambOptimizer"), (AdamW(), "AdamW"), (Sgd(), "SGD"), (Sgd(momentum=0), "SGD")],
)
def test_every_configuration_lowers_the_loss_of_a_regression(choice, name):
    torch.manual_seed(0)
    model, inputs = nn.Linear(4, 1), torch.randn(64, 4)
    targets = inputs @ torch.tensor([[1.0], [-1.0], [0.5], [0.0]])
    optimizer = build(choice, model)
    assert type(optimizer).__name__ == name
    before = nn.functional.mse_loss(model(inputs), targets).item()
    for _ in range(50):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(inputs), targets).backward()
        optimizer.step()
    assert nn.functional.mse_loss(model(inputs), targets).item() < 0.9 * before

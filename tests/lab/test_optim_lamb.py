"""LAMB against a float64 transcription of Algorithm 2 of You et al. (2020) as optax composes it."""

import numpy as np
import pytest
import torch
from torch import nn

from lab.optim import lamb
from lab.optim.lamb import LambOptimizer

LR, BETAS, EPS = 0.1, (0.9, 0.99), 1e-6


def published_steps(
    weight: np.ndarray, gradients: list[np.ndarray], *, lr: float, weight_decay: float
) -> np.ndarray:
    """The formula of the publication, one tensor, in float64."""
    beta1, beta2 = BETAS
    first, second = np.zeros_like(weight), np.zeros_like(weight)
    for step, gradient in enumerate(gradients, start=1):
        first = beta1 * first + (1 - beta1) * gradient
        second = beta2 * second + (1 - beta2) * gradient**2
        corrected = first / (1 - beta1**step) / (np.sqrt(second / (1 - beta2**step)) + EPS)
        update = corrected + weight_decay * weight
        length, reach = np.linalg.norm(weight), np.linalg.norm(update)
        ratio = length / reach if length > 0 and reach > 0 else 1.0
        weight = weight - lr * ratio * update
    return weight


def steps_of_ours(
    weights: list[np.ndarray], gradients: list[list[np.ndarray]], *, weight_decay: float, dtype: torch.dtype
) -> list[np.ndarray]:
    parameters = [nn.Parameter(torch.tensor(weight, dtype=dtype)) for weight in weights]
    optimizer = LambOptimizer(parameters, lr=LR, betas=BETAS, eps=EPS, weight_decay=weight_decay)
    for step in range(len(gradients[0])):
        for parameter, series in zip(parameters, gradients, strict=True):
            parameter.grad = torch.tensor(series[step], dtype=dtype)
        optimizer.step()
    return [parameter.detach().numpy() for parameter in parameters]


@pytest.mark.parametrize("chunk", [1, 30, 1 << 21])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_twenty_steps_follow_the_published_formula(weight_decay, dtype, tolerance, chunk, monkeypatch):
    monkeypatch.setattr(lamb, "CHUNK", chunk)
    random = np.random.default_rng(0)
    weights = [random.normal(size=shape) for shape in [(5, 7), (3,), (2, 3, 4), ()]]
    gradients = [[random.normal(size=weight.shape) for _ in range(20)] for weight in weights]
    ours = steps_of_ours(weights, gradients, weight_decay=weight_decay, dtype=dtype)
    for weight, series, found in zip(weights, gradients, ours, strict=True):
        expected = published_steps(weight, series, lr=LR, weight_decay=weight_decay)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_a_weight_at_zero_takes_an_adam_step_and_a_zero_gradient_moves_nothing():
    zero, still = np.zeros(4), np.array([1.0, 2.0])
    gradients = [[np.full(4, 3.0)], [np.zeros(2)]]
    moved, unmoved = steps_of_ours([zero, still], gradients, weight_decay=0.0, dtype=torch.float64)
    np.testing.assert_allclose(moved, np.full(4, -LR), rtol=1e-6)
    np.testing.assert_array_equal(unmoved, still)


def test_the_length_of_a_step_is_the_learning_rate_times_the_length_of_the_weight():
    random = np.random.default_rng(1)
    weight = random.normal(size=(8, 8))
    for scale in (1e-4, 1.0, 1e4):
        (found,) = steps_of_ours(
            [weight], [[scale * random.normal(size=(8, 8))]], weight_decay=0.0, dtype=torch.float64
        )
        assert np.linalg.norm(found - weight) == pytest.approx(LR * np.linalg.norm(weight))


def test_a_parameter_without_gradient_is_left_alone():
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = LambOptimizer([used, unused], lr=LR, betas=BETAS, eps=EPS, weight_decay=0.5)
    used.grad = torch.ones(2)
    optimizer.step()
    assert torch.equal(unused, torch.ones(2))
    assert not torch.equal(used, torch.ones(2))

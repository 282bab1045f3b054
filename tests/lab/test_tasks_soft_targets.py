"""Classification by shares of classes: for examples that are mixtures of two."""

import numpy as np
import pytest
import torch

from lab import Classification

LOGITS = torch.randn(6, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
LABELS = torch.tensor([0, 3, 6, 6, 1, 2])
SHARES = torch.tensor(np.random.default_rng(1).dirichlet(np.full(7, 0.3), 6), dtype=torch.float32)
WEIGHTS = torch.tensor([1.0, 1, 1, 0, 1, 1])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_and_gradients_are_those_of_the_cross_entropy_written_out(smoothing: float) -> None:
    logits, shares = LOGITS.double().numpy(), SHARES.double().numpy()
    target = (1 - smoothing) * shares + smoothing / 7
    log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    outputs = LOGITS.clone().requires_grad_()
    losses = Classification(smoothing).losses(outputs, SHARES)
    losses.sum().backward()
    np.testing.assert_allclose(losses.detach(), -(target * log_softmax).sum(axis=1), rtol=1e-5)
    assert outputs.grad is not None
    np.testing.assert_allclose(outputs.grad, np.exp(log_softmax) - target, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_whole_shares_are_class_indices(smoothing: float) -> None:
    task, whole = Classification(smoothing), torch.eye(7)[LABELS]
    torch.testing.assert_close(task.losses(LOGITS, whole), task.losses(LOGITS, LABELS))
    soft, hard = (task.sums(LOGITS, targets, WEIGHTS) for targets in (whole, LABELS))
    assert soft.keys() == hard.keys()
    for name in hard:
        torch.testing.assert_close(soft[name], hard[name])


def test_a_mixed_example_is_right_where_its_largest_share_is_found() -> None:
    shares = torch.tensor([[0.6, 0.4, 0.0], [0.6, 0.4, 0.0], [0.1, 0.0, 0.9]])
    logits = torch.tensor([[3.0, 1, 0], [0, 3, 1], [3, 1, 2]])
    sums = Classification().sums(logits, shares, torch.ones(3))
    assert (float(sums["top1"]), float(sums["top5"]), float(sums["examples"])) == (1, 3, 3)

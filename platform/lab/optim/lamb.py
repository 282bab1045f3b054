"""LAMB: You et al., Large Batch Optimization for Deep Learning, ICLR 2020, Algorithm 2."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias, overload

import torch
from torch import Tensor
from torch.optim import Optimizer

CHUNK = 1 << 21
"""elements updated together: enough to fill a device, few enough that scratch memory is used again and
not faulted in anew, which on a CPU would cost more than the arithmetic"""

Groups: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]]


class LambOptimizer(Optimizer):
    """Adam's direction with bias correction, plus decoupled weight decay, scaled per tensor to the weight's
    norm:

        u = m̂ / (√v̂ + eps) + weight_decay · w
        w ← w − lr · r · u        with the trust ratio r = |w| / |u|, or 1 where either is 0

    Decay comes before the trust ratio, as in the official training script (docs/paper.md section 3.2). Every
    operation is one call for a whole chunk of tensors. The number of steps taken is kept per group, since all
    tensors of a model step together.
    """

    def __init__(
        self, params: Groups, *, lr: float, betas: tuple[float, float], eps: float, weight_decay: float = 0.0
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "taken": 0}
        )

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            group["taken"] += bool(weights)
            for chunk in chunks(weights):
                _update(chunk, *self._moments(chunk), group)
        return loss

    def _moments(self, weights: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        for weight in weights:
            if not self.state[weight]:
                self.state[weight] = {
                    "exp_avg": torch.zeros_like(weight),
                    "exp_avg_sq": torch.zeros_like(weight),
                }
        states = [self.state[weight] for weight in weights]
        return [state["exp_avg"] for state in states], [state["exp_avg_sq"] for state in states]


def chunks(weights: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Successive tensors, about `CHUNK` elements at a time."""
    chunk: list[Tensor] = []
    size = 0
    for weight in weights:
        chunk.append(weight)
        size += weight.numel()
        if size >= CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _update(weights: list[Tensor], first: list[Tensor], second: list[Tensor], group: dict[str, Any]) -> None:
    beta1, beta2 = group["betas"]
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    torch._foreach_lerp_(first, gradients, 1 - beta1)
    torch._foreach_mul_(second, beta2)
    torch._foreach_addcmul_(second, gradients, gradients, 1 - beta2)

    # u = (m̂ / (√v̂ + eps)) with both corrections taken out of the tensors: fewer passes over the memory.
    correction = (1 - beta2 ** group["taken"]) ** 0.5
    scale = torch._foreach_sqrt(second)
    torch._foreach_add_(scale, group["eps"] * correction)
    updates = list(torch._foreach_div(first, scale))
    torch._foreach_mul_(updates, correction / (1 - beta1 ** group["taken"]))
    if group["weight_decay"]:
        torch._foreach_add_(updates, weights, alpha=group["weight_decay"])
    torch._foreach_addcmul_(weights, updates, _trust_ratios(weights, updates), value=-group["lr"])


def _trust_ratios(weights: list[Tensor], updates: list[Tensor]) -> list[Tensor]:
    """|w| / |u| per tensor, 1 where either is 0: 0-d, on the device, so that no step waits for them."""
    lengths = torch.stack(torch._foreach_norm(weights))
    steps = torch.stack(torch._foreach_norm(updates))
    ratios = torch.where((lengths > 0) & (steps > 0), lengths / steps, torch.ones_like(lengths))
    return list(ratios.unbind())

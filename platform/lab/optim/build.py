"""From an optimizer's configuration to the optimizer of a model, its parameters grouped by kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from lab.optim import config
from lab.optim.lamb import LambOptimizer

NORMS = (
    nn.LayerNorm, nn.RMSNorm, nn.GroupNorm,
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm,
)  # fmt: skip


def build(choice: config.Optimizer, model: nn.Module) -> Optimizer:
    """The optimizer of `model`: one group with weight decay, one without (`decays`)."""
    groups = parameter_groups(model, choice.weight_decay)
    match choice:
        case config.Lamb():
            return LambOptimizer(groups, lr=choice.lr, betas=(choice.beta1, choice.beta2), eps=choice.eps)
        case config.AdamW():
            betas = (choice.beta1, choice.beta2)
            return torch.optim.AdamW(groups, lr=choice.lr, betas=betas, eps=choice.eps, fused=True)
        case config.Sgd():
            return torch.optim.SGD(
                groups, lr=choice.lr, momentum=choice.momentum, nesterov=choice.momentum > 0
            )


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups in the order of the model, decayed ones first; an empty group is left out."""
    kinds = list(decays(model))
    decayed = {"params": [weight for weight, decay in kinds if decay], "weight_decay": weight_decay}
    exempt = {"params": [weight for weight, decay in kinds if not decay], "weight_decay": 0.0}
    return [group for group in (decayed, exempt) if group["params"]]


def decays(model: nn.Module) -> Iterator[tuple[nn.Parameter, bool]]:
    """Every trained parameter once, and whether weight decay applies to it.

    It spares biases and everything in a LayerNorm or BatchNorm; latents and learned positions are decayed
    (docs/paper.md section 3.2). A shared parameter belongs where it is first found.
    """
    seen: set[nn.Parameter] = set()
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            if weight.requires_grad and weight not in seen:
                seen.add(weight)
                yield weight, not (isinstance(module, NORMS) or name.endswith("bias"))

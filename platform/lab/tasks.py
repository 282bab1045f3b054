"""What a model is asked to do: the loss it trains on and the metrics it is measured by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from lab.errors import SpecError

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class Task(Protocol):
    """A task as a value. Metrics are sums, so that they merge exactly over batches and workers."""

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(b,) one loss per example, in nats."""

    def sums(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """Name -> 0-d float64 weighted sum over a batch; `metrics` turns totals into values."""

    def metrics(self, totals: Mapping[str, float]) -> dict[str, float]:
        """Metric name -> value, from the sums of all batches of all workers."""


@dataclass(frozen=True)
class Classification:
    """One class per example: softmax cross-entropy (paper §4.1), top-1 and top-5 accuracy as fractions."""

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise SpecError(f"Classification.label_smoothing must be in [0, 1), got {self.label_smoothing}.")

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs.float(), targets, reduction="none", label_smoothing=self.label_smoothing)

    def sums(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> dict[str, Tensor]:
        weights = weights.double()
        ranked = outputs.topk(min(5, outputs.shape[1]), dim=1).indices == targets[:, None]
        return {
            "examples": weights.sum(),
            "loss": (self.losses(outputs, targets).double() * weights).sum(),
            "top1": (ranked[:, 0].double() * weights).sum(),
            "top5": (ranked.any(dim=1).double() * weights).sum(),
        }

    def metrics(self, totals: Mapping[str, float]) -> dict[str, float]:
        return {name: totals[name] / totals["examples"] for name in ("loss", "top1", "top5")}

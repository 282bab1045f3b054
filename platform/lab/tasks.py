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

    @property
    def multi_label(self) -> bool:
        """Whether examples have any number of classes, or one each: what `Dataset.multi_label` must be."""

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(b,) one loss per example, in nats."""

    def scores(self, outputs: Tensor) -> Tensor:
        """(b, classes) what is measured of the outputs; of an example with several clips their mean."""

    def sums(self, scores: Tensor, targets: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """Name -> 0-d float64 weighted sum over a batch; `metrics` turns totals into values."""

    def metrics(self, totals: Mapping[str, float]) -> dict[str, float]:
        """Metric name -> value, from the sums of all batches of all workers."""


@runtime_checkable
class Ranking(Protocol):
    """What a task has besides whose metrics depend on the order of all examples of a split."""

    def ranked(self, scores: Tensor, targets: Tensor) -> dict[str, float]:
        """Metric name -> value, of the scores and targets of every example, each once, on the CPU."""


@dataclass(frozen=True)
class Classification:
    """One class per example: softmax cross-entropy (paper §4.1), top-1 and top-5 accuracy as fractions.

    Targets are (b,) class indices, or (b, classes) shares of the classes in mixed examples, which sum to 1;
    a mixed example counts as right where its largest share is found (assumed).
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise SpecError(f"Classification.label_smoothing must be in [0, 1), got {self.label_smoothing}.")

    @property
    def multi_label(self) -> bool:
        return False

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs.float(), targets, reduction="none", label_smoothing=self.label_smoothing)

    def scores(self, outputs: Tensor) -> Tensor:
        """The logits (that those are averaged over clips is assumed)."""
        return outputs

    def sums(self, scores: Tensor, targets: Tensor, weights: Tensor) -> dict[str, Tensor]:
        weights = weights.double()
        labels = targets if targets.ndim == 1 else targets.argmax(dim=1)
        ranked = scores.topk(min(5, scores.shape[1]), dim=1).indices == labels[:, None]
        return {
            "examples": weights.sum(),
            "loss": (self.losses(scores, targets).double() * weights).sum(),
            "top1": (ranked[:, 0].double() * weights).sum(),
            "top5": (ranked.any(dim=1).double() * weights).sum(),
        }

    def metrics(self, totals: Mapping[str, float]) -> dict[str, float]:
        return {name: totals[name] / totals["examples"] for name in ("loss", "top1", "top5")}

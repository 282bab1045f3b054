"""Any number of classes per example: AudioSet's task (paper section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Tagging:
    """Sigmoid cross-entropy summed over the classes (stated; that it is the sum and not the mean is assumed),
    and the mean average precision over classes as scikit-learn computes it.

    Targets are (b, classes) of 0.0 and 1.0. Over the clips of an example probabilities are averaged (that
    scores are is stated, that they are probabilities assumed).

    Metrics: `map`, the mean over the classes that have a positive example in the split; `map_classes`, how
    many those are; `loss`, of the averaged probabilities, in nats per example.
    """

    @property
    def multi_label(self) -> bool:
        return True

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        from torch.nn.functional import binary_cross_entropy_with_logits

        return binary_cross_entropy_with_logits(outputs.float(), targets, reduction="none").sum(1)

    def scores(self, outputs: Tensor) -> Tensor:
        """(b, classes) probabilities, in float64: a probability near 1 must not become 1."""
        return outputs.double().sigmoid()

    def sums(self, scores: Tensor, targets: Tensor, weights: Tensor) -> dict[str, Tensor]:
        from torch.nn.functional import binary_cross_entropy

        weights = weights.double()
        losses = binary_cross_entropy(scores, targets.double(), reduction="none").sum(1)
        return {"examples": weights.sum(), "loss": (losses * weights).sum()}

    def metrics(self, totals: Mapping[str, float]) -> dict[str, float]:
        return {"loss": totals["loss"] / totals["examples"]}

    def ranked(self, scores: Tensor, targets: Tensor) -> dict[str, float]:
        """`map` and `map_classes` of all examples of a split: scores and targets (n, classes).

        Raises DataError where no class has a positive example.
        """
        from sklearn.metrics import average_precision_score

        found = [label for label, positives in enumerate(targets.sum(0).tolist()) if positives]
        if not found:
            raise DataError("no class has a positive example in the split: there is no average precision.")
        columns = zip(targets.T[found].numpy(), scores.T[found].numpy(), strict=True)
        precisions = [float(average_precision_score(truth, score)) for truth, score in columns]
        return {"map": sum(precisions) / len(precisions), "map_classes": float(len(precisions))}

"""What is done to a mesh of MeshZoo before a model sees it: what is done to ModelNet40's."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.data.meshzoo.preparation import VERSION
from pipelines.data.meshzoo.shapes import KINDS
from pipelines.data.modelnet40 import ModelNet40
from pipelines.data.stream import Stream


@dataclass(frozen=True)
class MeshZoo(ModelNet40):
    """MeshZoo as clouds (points, 3), drawn, centred, scaled and placed on grids as ModelNet40's."""

    points: int = 256

    @property
    def name(self) -> str:
        return "meshzoo"

    @property
    def num_classes(self) -> int:
        return len(KINDS)

    @property
    def full_sizes(self) -> dict[str, int]:
        """Examples in the splits, for forecasts before it is prepared."""
        return {"train": 1980, "validation": 220, "test": 500}

    def open(self, root: str) -> Stream:
        """The prepared shards under `root`. Raises MissingDataset with the command that prepares them."""
        return Stream.open(root, self, VERSION)


def dataset() -> MeshZoo:
    """MeshZoo with 256 points."""
    return MeshZoo()

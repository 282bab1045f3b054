"""MeshZoo: 2,700 generated meshes of ten kinds, in place of ModelNet40 at laptop scale, no download."""

from pipelines.data.meshzoo.preparation import VERSION, prepare
from pipelines.data.meshzoo.view import MeshZoo, dataset

__all__ = ["VERSION", "MeshZoo", "dataset", "prepare"]

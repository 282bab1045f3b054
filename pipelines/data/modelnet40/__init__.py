"""ModelNet40 (Wu et al. 2015): shapes of 40 classes as clouds of points, from meshes, text or HDF5."""

from pipelines.data.modelnet40.preparation import VERSION, prepare
from pipelines.data.modelnet40.view import ModelNet40, dataset

__all__ = ["VERSION", "ModelNet40", "dataset", "prepare"]

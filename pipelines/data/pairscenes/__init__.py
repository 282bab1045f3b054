"""PairScenes: 5,400 generated images of nine classes, in place of ImageNet at laptop scale, no download."""

from pipelines.data.pairscenes.preparation import VERSION, prepare
from pipelines.data.pairscenes.view import PairScenes, dataset

__all__ = ["VERSION", "PairScenes", "dataset", "prepare"]

"""ImageNet (ILSVRC 2012): 1,000 classes, from the official tars, folders by class, Parquet or webdataset."""

from pipelines.data.imagenet.preparation import VERSION, prepare
from pipelines.data.imagenet.view import PIXELS, ImageNet, dataset

__all__ = ["PIXELS", "VERSION", "ImageNet", "dataset", "prepare"]

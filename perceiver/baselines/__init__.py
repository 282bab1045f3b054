"""The models that the paper compares the Perceiver with, fed with the same inputs."""

from perceiver.baselines.baseline import Baseline
from perceiver.baselines.cnn14 import CNN14
from perceiver.baselines.late_fusion import LateFusion, Stream
from perceiver.baselines.pointnet import PointNetPlusPlus, SetAbstraction
from perceiver.baselines.resnet import ResNet
from perceiver.baselines.transformer import Transformer
from perceiver.baselines.vit import ViT

__all__ = [
    "CNN14",
    "Baseline",
    "LateFusion",
    "PointNetPlusPlus",
    "ResNet",
    "SetAbstraction",
    "Stream",
    "Transformer",
    "ViT",
]

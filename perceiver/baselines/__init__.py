"""The models that the paper compares the Perceiver with, fed with the same inputs."""

from perceiver.baselines.baseline import Baseline
from perceiver.baselines.resnet import ResNet
from perceiver.baselines.transformer import Transformer
from perceiver.baselines.vit import ViT

__all__ = ["Baseline", "ResNet", "Transformer", "ViT"]

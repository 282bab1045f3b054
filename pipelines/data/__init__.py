"""Data sets: prepared once into Parquet shards, read as one deterministic stream of global batches."""

from pipelines.data.digits import Digits
from pipelines.data.imagenet import ImageNet
from pipelines.data.images.colour import Colour
from pipelines.data.images.mixing import Mixing
from pipelines.data.images.randaugment import RandAugment
from pipelines.data.manifest import Manifest
from pipelines.data.meshzoo import MeshZoo
from pipelines.data.modelnet40 import ModelNet40
from pipelines.data.prepare import contact_sheet, describe, prepare, state, verify
from pipelines.data.stream import Stream

__all__ = [
    "Colour",
    "Digits",
    "ImageNet",
    "Manifest",
    "MeshZoo",
    "Mixing",
    "ModelNet40",
    "RandAugment",
    "Stream",
    "contact_sheet",
    "describe",
    "prepare",
    "state",
    "verify",
]

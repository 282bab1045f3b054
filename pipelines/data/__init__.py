"""Data sets: prepared once into Parquet shards, read as one deterministic stream of global batches."""

from pipelines.data.audio.log_mel import LogMel
from pipelines.data.audio.raw import RawAudio
from pipelines.data.audio.specaugment import SpecAugment
from pipelines.data.audioset import AudioSet
from pipelines.data.description import describe, size
from pipelines.data.digits import Digits
from pipelines.data.eventclips import EventClips
from pipelines.data.folder import ImageFolder, Table
from pipelines.data.imagenet import ImageNet
from pipelines.data.images.colour import Colour
from pipelines.data.images.mixing import Mixing
from pipelines.data.images.randaugment import RandAugment
from pipelines.data.manifest import Manifest
from pipelines.data.meshzoo import MeshZoo
from pipelines.data.modelnet40 import ModelNet40
from pipelines.data.pairscenes import PairScenes
from pipelines.data.prepare import inventory, prepare, verify
from pipelines.data.sheet import contact_sheet
from pipelines.data.stream import Stream
from pipelines.data.video.frames import Frames

__all__ = [
    "AudioSet",
    "Colour",
    "Digits",
    "EventClips",
    "Frames",
    "ImageFolder",
    "ImageNet",
    "LogMel",
    "Manifest",
    "MeshZoo",
    "Mixing",
    "ModelNet40",
    "PairScenes",
    "RandAugment",
    "RawAudio",
    "SpecAugment",
    "Stream",
    "Table",
    "contact_sheet",
    "describe",
    "inventory",
    "prepare",
    "size",
    "verify",
]

"""Data sets: prepared once into Parquet shards, read as one deterministic stream of global batches."""

from pipelines.data.digits import Digits
from pipelines.data.manifest import Manifest
from pipelines.data.stream import Stream

__all__ = ["Digits", "Manifest", "Stream"]

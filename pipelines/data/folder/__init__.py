"""A user's own images, declared: a folder of images by class, or a table of them."""

from pipelines.data.folder.images import ImageFolder
from pipelines.data.folder.table import Table

__all__ = ["ImageFolder", "Table"]

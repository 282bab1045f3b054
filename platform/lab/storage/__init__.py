"""Folders of files that are there as a whole or not at all, on a disk or on an object store."""

from lab.storage.bundles import Bundles as Bundles
from lab.storage.bundles import Piece as Piece
from lab.storage.bundles import bundles as bundles
from lab.storage.bundles import within as within

"""The paper's tables, regenerated from the record beside the paper's values."""

from pipelines.tables.archive import Archive, pack
from pipelines.tables.attention import keep_maps
from pipelines.tables.build import assemble, build, exhibits, render, searched
from pipelines.tables.colophon import Colophon
from pipelines.tables.figures import DRAWINGS, draw
from pipelines.tables.verify import verify_archive, verify_folder, verify_record

__all__ = [
    "DRAWINGS",
    "Archive",
    "Colophon",
    "assemble",
    "build",
    "draw",
    "exhibits",
    "keep_maps",
    "pack",
    "render",
    "searched",
    "verify_archive",
    "verify_folder",
    "verify_record",
]

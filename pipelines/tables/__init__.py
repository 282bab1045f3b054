"""The paper's tables, regenerated from the record beside the paper's values."""

from pipelines.tables.build import assemble, build, exhibits, render, searched

__all__ = ["assemble", "build", "exhibits", "render", "searched"]

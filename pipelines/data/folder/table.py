"""Images in the rows of Parquet or Arrow files, as Hugging Face's `datasets` and others write them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.errors import DataError, SpecError
from pipelines.data import tables
from pipelines.data.build import Progress
from pipelines.data.folder.declared import SPLITS, Declared, Found, split_called
from pipelines.data.images.labelled import Labelled


@dataclass(frozen=True, kw_only=True)
class Table(Declared):
    """Images in tables: `Table(name="beans", num_classes=3)`.

    image: the column with the encoded image, or with a struct that holds `bytes`, as in Hugging Face's tables
    label: the column with the class, an integer from 0, or a name; names are numbered in sorted order
    key: a column with a name for each row, else rows are named by their file and number
    splits: split -> which files, by pattern below the source; by default those named by a split
    """

    image: str = "image"
    label: str = "label"
    key: str | None = None
    splits: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        for split, pattern in self.splits.items():
            if split not in SPLITS or not pattern or pattern.startswith("/"):
                raise SpecError(
                    f"Table.splits gives {', '.join(SPLITS)} a pattern like 'data/{split}-*.parquet', got "
                    f"{split!r}: {pattern!r}."
                )

    def found(self, source: Path, scratch: Path, progress: Progress) -> tuple[Found, tuple[str, ...]]:
        files = self._files(source)
        rows = {split: self._rows(source, paths, scratch, progress) for split, paths in files.items()}
        stored = {label for split in rows.values() for *_, label in split}
        labels = self.require_classes(source, self._class_names(source, files["train"][0], stored))
        place = {name: place for place, name in enumerate(labels)}
        return {
            split: [Labelled(key, place.get(label, label), cell) for cell, key, label in found]
            for split, found in rows.items()
        }, labels

    def _files(self, source: Path) -> dict[str, list[Path]]:
        """split -> its files. Raises DataError when there are none, or one of a series is missing."""
        if self.splits:
            files = {split: sorted(source.glob(pattern)) for split, pattern in self.splits.items()}
        else:
            every = sorted(file for file in source.rglob("*") if file.suffix in tables.ENDINGS)
            files = {s: f for s in SPLITS if (f := [e for e in every if _split(e.relative_to(source)) == s])}
        for split in ("train", *files):
            if not files.get(split):
                given = f"like {self.splits[split]!r}" if split in self.splits else "with it in their names"
                raise DataError(
                    f"{source} has no Parquet or Arrow files {given} for the split {split!r}: name the "
                    "folder that has, or say which they are, as in splits={'train': 'data/*.parquet'}."
                )
            tables.require_complete(files[split])
        return files

    def _rows(
        self, source: Path, files: list[Path], scratch: Path, progress: Progress
    ) -> list[tuple[tables.Cell, str, Any]]:
        """(image, key, label as it is stored) of every row."""
        bytes_of = f"{self.image}.bytes"
        image = bytes_of if bytes_of in tables.columns_of(files[0]) else self.image
        names = [image, self.label, *([self.key] if self.key else [])]
        rows = []
        for path, columns in tables.opened(files, names, scratch, progress, self.name):
            cells, labels = tables.cells(columns[image], path), columns[self.label].to_pylist()
            begin = path.relative_to(source).with_suffix("").as_posix()
            numbered = [f"{begin}/{cell.row:07d}" for cell in cells]
            keys = columns[self.key].to_pylist() if self.key else numbered
            for cell, key, label in zip(cells, keys, labels, strict=True):
                if key is None:
                    raise DataError(f"{cell} has no key in column {self.key!r}.")
                if not isinstance(label, str) and label not in range(self.num_classes):
                    raise DataError(
                        f"{cell} has the label {label!r} in column {self.label!r}; with "
                        f"num_classes={self.num_classes} labels are names, or 0 to {self.num_classes - 1}."
                    )
                rows.append((cell, str(key), label))
        return rows

    def _class_names(self, source: Path, file: Path, stored: set[Any]) -> list[str]:
        """As they are stored; or what numbers stand for, by Hugging Face's metadata; or the numbers."""
        strings = [label for label in stored if isinstance(label, str)]
        if strings and len(strings) < len(stored):
            raise DataError(
                f"{source} has labels that are names ({strings[0]!r}) and others that are numbers."
            )
        if strings:
            return sorted(strings)
        described = (tables.schema_of(file).metadata or {}).get(b"huggingface", b"")
        try:
            return list(json.loads(described)["info"]["features"][self.label]["names"])
        except (ValueError, KeyError, TypeError):
            return [str(label) for label in range(self.num_classes)]


def _split(file: Path) -> str | None:
    """The split whose name is a word of the file's name, or of the folders it is in."""
    for part in (file.stem, *reversed(file.parts[:-1])):
        found = {split for word in re.split(r"[-_.]", part) if (split := split_called(word))}
        if found:
            return found.pop() if len(found) == 1 else None
    return None

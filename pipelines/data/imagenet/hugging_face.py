"""The Parquet files of `ILSVRC/imagenet-1k`, or the Arrow files that `datasets` caches of them.

    SOURCE/data/train-00000-of-00294.parquet ...    SOURCE/data/validation-00000-of-00014.parquet ...
    columns: image: struct<bytes: binary, path: string>, label: int64

A label is the place of the class among the sorted WordNet ids, -1 in the test files, which are not read.
Paths keep the official names with the class behind them, so that each label can be checked.
"""

from __future__ import annotations

import re
from pathlib import Path

from lab.errors import DataError
from pipelines.data import tables
from pipelines.data.build import Progress
from pipelines.data.imagenet.classes import label_of, named_in, wnid_of
from pipelines.data.imagenet.located import Located

WHAT = "Hugging Face's Parquet files (data/train-00000-of-00294.parquet, data/validation-...)"
COLUMNS = ("image.bytes", "image.path", "label")
_NAME = re.compile(r"(?:.*-)?(train|validation|test)-\d+-of-\d+\.(?:parquet|arrow)")


def held(source: Path) -> bool:
    return bool(_files(source, "train") or _files(source, "validation"))


def images(source: Path, scratch: Path, progress: Progress) -> tuple[list[Located], list[Located]]:
    found = {}
    for split in ("train", "validation"):
        paths = _files(source, split)
        if not paths:
            raise DataError(f"{source} has no {split}-*-of-*.parquet: copy all of the data set's files.")
        tables.require_complete(paths)
        found[split] = [
            image
            for path, columns in tables.opened(paths, COLUMNS, scratch, progress, "imagenet")
            for image in _images(path, columns)
        ]
    return found["train"], found["validation"]


def _files(source: Path, split: str) -> list[Path]:
    places = [place for place in (source, source / "data") if place.is_dir()]
    files = [file for place in places for file in place.iterdir()]
    return sorted(file for file in files if (name := _NAME.fullmatch(file.name)) and name[1] == split)


def _images(path: Path, columns: tables.Columns) -> list[Located]:
    places = tables.cells(columns["image.bytes"], path)
    names, labels = columns["image.path"].to_pylist(), columns["label"].to_pylist()
    found = []
    for place, name, label in zip(places, names, labels, strict=True):
        wnid = wnid_of(label, str(place))
        stem, named = named_in(Path(name).stem) if name else (f"{path.stem}-{place.row:06d}", None)
        if named and named != wnid:
            raise DataError(
                f"{place} is labelled {label}, and its name {name} says {label_of(named)}: the labels are no "
                "places among the sorted WordNet ids."
            )
        found.append(Located(wnid, f"{stem}.JPEG", place))
    return found

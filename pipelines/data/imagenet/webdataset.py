"""Tars of examples, as the webdataset library writes them (`timm/imagenet-1k-wds` and what people make).

    SOURCE/imagenet1k-train-0000.tar ...    SOURCE/imagenet1k-validation-0000.tar ...

Members with the same name up to its first dot are one example: `<name>.jpg` and `<name>.cls`, a label in
ASCII, the place of the class among the sorted WordNet ids. A `<name>.json` may hold the official `filename`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from lab.errors import DataError
from pipelines.data.build import Progress
from pipelines.data.imagenet.classes import label_of, named_in, wnid_of
from pipelines.data.imagenet.located import Located
from pipelines.data.payload import Extent, members

WHAT = "webdataset tars (imagenet1k-train-0000.tar, imagenet1k-validation-0000.tar, ...)"
IMAGE_ENDINGS = ("jpg", "jpeg", "png", "webp")
_NAME = re.compile(r"(?:.*[-_])?(train|val|validation)[-_](\d+)\.tar")


def held(source: Path) -> bool:
    return bool(_shards(source, "train") or _shards(source, "val"))


def images(source: Path, scratch: Path, progress: Progress) -> tuple[list[Located], list[Located]]:
    found: dict[str, list[Located]] = {}
    for split in ("train", "val"):
        shards = _shards(source, split)
        if not shards:
            raise DataError(f"{source} has no webdataset tars of {split}, like imagenet1k-{split}-0000.tar.")
        if missing := sorted(set(range(max(shards) + 1)) - shards.keys()):
            raise DataError(
                f"{source} has no tar number {missing[0]} of {split}, and has {max(shards)}: copy them all."
            )
        found[split] = []
        for done, number in enumerate(sorted(shards), start=1):
            progress("list imagenet", done, len(shards))
            found[split] += _images(shards[number])
    return found["train"], found["val"]


def _shards(source: Path, split: str) -> dict[int, Path]:
    places = [each for name in (".", split, f"{split}idation") if (each := source / name).is_dir()]
    shards: dict[int, Path] = {}
    for file in sorted(file for place in places for file in place.glob("*.tar")):
        if (name := _NAME.fullmatch(file.name)) and name[1].startswith(split):
            if int(name[2]) in shards:
                raise DataError(f"{file} and {shards[int(name[2])].name} have the same number: keep one.")
            shards[int(name[2])] = file
    return shards


def _images(shard: Path) -> Iterator[Located]:
    for name, parts in _examples(shard):
        ending = next((each for each in IMAGE_ENDINGS if each in parts), None)
        if ending is None or "cls" not in parts:
            raise DataError(
                f"{shard}, {name} has {', '.join(sorted(parts))}; an example is an image (.jpg) and its .cls."
            )
        wnid = _class(parts["cls"])
        official = _filename(parts["json"]) if "json" in parts else None
        stem, named = named_in(Path(official or name).stem)
        if named and named != wnid:
            raise DataError(
                f"{parts['cls']} says {label_of(wnid)}, and the image's name {official or name} says "
                f"{label_of(named)}: the labels are not places among the sorted WordNet ids."
            )
        yield Located(wnid, f"{stem}.{ending}", parts[ending])


def _examples(shard: Path) -> Iterator[tuple[str, dict[str, Extent]]]:
    """(name, ending -> place) of each example; its members follow each other."""
    name, parts = "", dict[str, Extent]()
    for member, place in members(shard):
        begin, _, ending = member.partition(".")
        if begin != name or ending.lower() in parts:
            if parts:
                yield name, parts
            name, parts = begin, {}
        parts[ending.lower()] = place
    if parts:
        yield name, parts


def _class(place: Extent) -> str:
    text = place.read().strip()
    return wnid_of(int(text) if text.isdigit() else text.decode(errors="replace"), str(place))


def _filename(place: Extent) -> str | None:
    try:
        name = json.loads(place.read()).get("filename")
    except (ValueError, AttributeError):
        raise DataError(f"{place} is no JSON object: copy it again.") from None
    return str(name) if name else None

"""What the declarations of a user's own images have in common: a name, classes, and splits."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lab import codec
from lab.errors import DataError, SpecError
from pipelines.data import tables
from pipelines.data.build import Prepared, Progress, build, silent
from pipelines.data.images import defects
from pipelines.data.images.labelled import Labelled, held_out, plan
from pipelines.data.images.view import ImageView
from pipelines.data.plan import Plan
from pipelines.data.stream import Stream

VERSION = 1
SPLITS = {"train": ("train", "training"), "validation": ("validation", "val", "valid"), "test": ("test",)}
"""Split -> what people call it."""

Found = Mapping[str, list[Labelled]]


@dataclass(frozen=True, kw_only=True)
class Declared(ImageView, ABC):
    """Images of one's own, seen as `ImageView` says.

    name: of the data set · num_classes: how many it must have, so that a stray folder is noticed
    validation, test: the share of each class that is held out of the training images, where the data has no
        such split of its own; chosen by a hash of the names
    """

    name: str
    num_classes: int
    validation: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        kind = type(self).__name__
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", self.name):
            raise SpecError(f"{kind}.name is a name like 'flowers' of a-z, 0-9, - and _, got {self.name!r}.")
        if self.num_classes < 2:
            raise SpecError(f"{kind}.num_classes must be 2 or more, got {self.num_classes}.")
        if min(self.validation, self.test) < 0 or self.validation + self.test >= 1:
            raise SpecError(
                f"{kind}.validation and test are shares of the training images, 0 or more and together less "
                f"than 1, got {self.validation} and {self.test}."
            )

    @property
    def version(self) -> int:
        """Changes when what is declared decides other shards: they are prepared anew."""
        seen = {*codec.hints(ImageView), "name"}
        decides = {name: value for name, value in codec.encode(self).items() if name not in seen}
        text = codec.canonical({"version": VERSION} | decides)
        return int(hashlib.sha256(text.encode()).hexdigest()[:7], 16)

    def open(self, root: str) -> Stream:
        """The prepared shards under `root`. Raises MissingDataset with the command that prepares them."""
        return Stream.open(root, self, self.version)

    def prepare(self, root: str, source: str | None = None, progress: Progress = silent) -> Prepared:
        """Writes the images in the folder `source` as shards under `root`.

        Raises DataError when the classes are not as declared, or images cannot be decoded: all are named.
        """
        if source is None:
            raise DataError(
                f"{self.name} is made from your own folder; run: lab data prepare {self.name} --source FOLDER"
            )
        if not Path(source).is_dir():
            raise DataError(f"--source {source} is no folder.")
        with tables.scratch(root, self.name) as scratch, defects.quiet():
            planned = partial(self._plan, Path(source), scratch, progress)
            return build(root, self.name, self.version, planned, progress=progress)

    @abstractmethod
    def found(self, source: Path, scratch: Path, progress: Progress) -> tuple[Found, tuple[str, ...]]:
        """(images by split, names of the classes) in a folder. Raises DataError."""

    def _plan(self, source: Path, scratch: Path, progress: Progress) -> Plan:
        found, labels = self.found(source, scratch, progress)
        if not found.get("train"):
            raise DataError(f"{source} has no training images: a split is called {_words()}.")
        absent = {split: getattr(self, split) for split in ("validation", "test") if split not in found}
        splits = {**found, **held_out(found["train"], absent)}
        for label in sorted(set(range(len(labels))) - {image.label for image in splits["train"]}):
            raise DataError(f"{source} has no training image of the class {labels[label]!r}: add some.")
        return plan({split: images for split, images in splits.items() if images}, labels)

    def require_classes(self, source: Path, names: list[str]) -> tuple[str, ...]:
        """The names of the classes, if they are as many as declared. Raises DataError naming them."""
        if len(names) != self.num_classes:
            shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            raise DataError(
                f"{source} has {len(names)} classes ({shown}), and {self.name} is declared with "
                f"num_classes={self.num_classes}: take out what is no class, or declare as many."
            )
        return tuple(names)


def split_called(name: str) -> str | None:
    """The split that people call so."""
    return next((split for split, called in SPLITS.items() if name.lower() in called), None)


def _words() -> str:
    return ", ".join("/".join(called) for called in SPLITS.values())

"""Images in folders by class.

SOURCE/<class>/*                              splits are held out of each class
SOURCE/train/<class>/*    SOURCE/val/<class>/*    SOURCE/test/<class>/*    what is not there is held out
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.errors import DataError, did_you_mean
from pipelines.data.build import Progress
from pipelines.data.folder.declared import Declared, Found, split_called
from pipelines.data.images.labelled import Labelled
from pipelines.data.payload import Extent, files, folders


@dataclass(frozen=True, kw_only=True)
class ImageFolder(Declared):
    """Images in folders by class: `ImageFolder(name="flowers", num_classes=5)`.

    A label is the place of the folder's name among the sorted names. Folders in a class's folder belong to
    the class; what is hidden is no image, and any other file has to be one.
    """

    def found(self, source: Path, scratch: Path, progress: Progress) -> tuple[Found, tuple[str, ...]]:
        parts = {split: each for each in _visible(source) if (split := split_called(each.name))}
        strays = [each for each in _visible(source) if not split_called(each.name)]
        if parts and strays:
            raise DataError(
                f"{source} has a folder of a split ({parts.popitem()[1].name}) beside {strays[0].name}, "
                "which is none: take one kind out."
            )
        parts = parts or {"train": source}
        classes = sorted({each.name for place in parts.values() for each in _visible(place)})
        labels = self.require_classes(source, classes)
        images: dict[str, list[Labelled]] = {}
        for split, place in parts.items():
            images[split] = []
            for done, folder in enumerate(_visible(place), start=1):
                progress(f"list {self.name}", done, len(labels))
                images[split] += _images(folder, labels)
        return images, labels


def _images(folder: Path, labels: tuple[str, ...]) -> list[Labelled]:
    label = labels.index(folder.name)
    images = [Labelled(f"{folder.name}/{name}", label, at) for name, at in _files(folder)]
    if not images:
        near = did_you_mean(folder.name, [each for each in labels if each != folder.name])
        raise DataError(f"{folder} is a class without images: add some, or delete it.{near}")
    return images


def _files(folder: Path) -> list[tuple[str, Extent]]:
    below = [(f"{each.name}/{name}", at) for each in _visible(folder) for name, at in _files(each)]
    return files(folder) + below


def _visible(folder: Path) -> list[Path]:
    return [each for each in folders(folder) if not each.name.startswith(".")]

"""ImageNet in whichever form people hold it: the form is found, and every image with its class."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.errors import DataError
from pipelines.data.build import Progress, silent
from pipelines.data.imagenet import folders, hugging_face, tars, webdataset
from pipelines.data.imagenet.classes import CLASSES, wnids
from pipelines.data.imagenet.located import Located

FORMS = (tars, folders, hugging_face, webdataset)
OFFICIAL = {"training": 1_281_167, "validation": 50_000}
"""How many images the whole set has."""

_STRANGERS = (
    (r".*\.tfrecord.*|.*-\d{5}-of-\d{5}", "TFDS or TensorFlow records"),
    (r".*\.(zip|7z|rar)", "an archive to be unpacked first"),
    (r".*\.beton", "FFCV files"),
    (r".*\.(mdb|lmdb)", "an LMDB"),
    (r"ILSVRC2012_img_test.*", "the test images, which have no labels"),
    (r"n\d{8}(\.tar)?", "classes outside of a folder train/"),
    (r"(fall11|winter21).*", "ImageNet-21k"),
)


def find(
    source: Path, scratch: Path, progress: Progress = silent
) -> tuple[list[Located], list[Located], Mapping[str, int]]:
    """(training images, official validation images, what is to be remarked) in whichever form `source` holds.

    Parquet is unpacked into `scratch`. Raises DataError: none of the forms is there, a file is missing or cut
    short, or the classes are not the 1,000.
    """
    if not source.is_dir():
        wrong = "a file: name the folder it is in" if source.exists() else "not there"
        raise DataError(f"--source {source} is {wrong}.")
    forms = [form for form in FORMS if form.held(source)]
    if not forms:
        raise DataError(
            f"{source} holds {_described(source)}; imagenet is made from {_expected()}: name the folder that "
            "holds one of them."
        )
    if len(forms) > 1:
        held = " and ".join(form.WHAT for form in forms)
        raise DataError(f"{source} holds {held}: name a folder with one of them.")
    train, validation = forms[0].images(source, scratch, progress)
    _require_classes(source, train, validation)
    return train, validation, differences(len(train), len(validation))


def differences(training: int, validation: int) -> dict[str, int]:
    """What to remark of the numbers of images: nothing of the whole set. A part of it can be wanted, and is
    prepared; but it is told.
    """
    remarks = {}
    for kind, found in (("training", training), ("validation", validation)):
        official = OFFICIAL[kind]
        if found < official:
            remarks[f"{kind} images missing of the official {official:,}"] = official - found
        if found > official:
            remarks[f"{kind} images more than the official {official:,}"] = found - official
    return remarks


def _require_classes(source: Path, train: Sequence[Located], validation: Sequence[Located]) -> None:
    """Labels are right only if the classes are."""
    known, found = set(wnids()), {image.wnid for image in train}
    for wnid in sorted(found | {image.wnid for image in validation}):
        if not re.fullmatch(r"n\d{8}", wnid):
            raise DataError(
                f"{source}: {wnid!r} is no WordNet id like n01440764; take it out of the classes."
            )
        if wnid not in known:
            raise DataError(f"{source}: {wnid} is not one of ImageNet's {CLASSES:,} classes; take it out.")
    if missing := sorted(known - found):
        raise DataError(
            f"{source} has training images of {len(found):,} classes, ImageNet has {CLASSES:,}: "
            f"{missing[0]} is missing."
        )


def _described(source: Path) -> str:
    names = sorted(each.name for each in source.iterdir() if not each.name.startswith("."))
    for pattern, what in _STRANGERS:
        if found := [name for name in names if re.fullmatch(pattern, name)]:
            return f"{what} ({found[0]})"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}" if names else "nothing"


def _expected() -> str:
    *most, last = (form.WHAT for form in FORMS)
    return f"{', '.join(most)}, or {last}"

"""ImageNet (ILSVRC 2012) as shards of JPEG.

`test` is the official 50,000 validation images, on which the paper reports. `validation` is one training
image in 128 of each class (about 10,000, as many as the official code holds out), chosen by a hash of its
name. `train` is the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from lab.errors import DataError
from pipelines.data import tables
from pipelines.data.build import Prepared, Progress, build, silent
from pipelines.data.imagenet.classes import label_of, wnids
from pipelines.data.imagenet.located import Located
from pipelines.data.imagenet.source import find
from pipelines.data.images import defects
from pipelines.data.images.labelled import Labelled, held_out, plan
from pipelines.data.plan import Plan

VERSION = 1
HELD_OUT = 128


def prepare(root: str, source: str | None = None, progress: Progress = silent) -> Prepared:
    """Writes ImageNet under `root` from the folder `source`, in any of the forms of `source.FORMS`.

    Raises DataError when the source is incomplete, has other classes, or holds images that cannot be decoded:
    all of them are named (see `unreadable`).
    """
    with tables.scratch(root, "imagenet") as scratch, defects.quiet():
        planned = partial(_plan, source, scratch, progress)
        return build(root, "imagenet", VERSION, planned, progress=progress)


def _plan(source: str | None, scratch: Path, progress: Progress) -> Plan:
    if source is None:
        raise DataError(
            "imagenet is made from the official tars, folders of images by class, Parquet or webdataset; "
            "run: lab data prepare imagenet --source FOLDER"
        )
    training, official, remarks = find(Path(source), scratch, progress)
    splits = held_out(_labelled(training), {"validation": 1 / HELD_OUT}) | {"test": _labelled(official)}
    return plan(splits, wnids(), remarks)


def _labelled(images: Sequence[Located]) -> list[Labelled]:
    return [Labelled(image.key, label_of(image.wnid), image.at) for image in images]

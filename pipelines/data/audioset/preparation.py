"""AudioSet as shards of FLAC and mp4.

`test` is the evaluation list, on which the paper reports. `train` is the balanced and the unbalanced training
list together (assumed: the paper says 1.7M training videos, which is what is left of both). `validation` is
one training clip in 128, chosen by a hash of its name, but never the last one of a class (assumed).
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from lab.errors import DataError
from pipelines.data import tables
from pipelines.data.audioset import coverage, labels, recording
from pipelines.data.audioset.source import Clip, find
from pipelines.data.build import Prepared, Progress, build, silent
from pipelines.data.plan import CLIPS, Entry, Plan

VERSION = 1
HELD_OUT = 128
ROW_GROUP_BYTES = 12 << 20
"""8 clips with sound and video, 20 with sound alone."""


def prepare(root: str, source: str | None = None, progress: Progress = silent) -> Prepared:
    """Writes AudioSet under `root` from the lists and clips in the folder `source`, and reports beside it.

    Clips that are missing or cannot be decoded are counted. Raises DataError when a list is missing or
    damaged, or a class has no training clip left.
    """
    return prepare_as("audioset", VERSION, root, source, progress)


def prepare_as(
    name: str,
    version: int,
    root: str,
    source: str | None,
    progress: Progress = silent,
    *,
    classes: int | None = labels.CLASSES,
    held_out: int = HELD_OUT,
) -> Prepared:
    """The same for any data set in the form of AudioSet, under its own name. `classes` is how many the list
    of classes must have, None for any number; one training clip in `held_out` is for validation.
    """
    if source is None:
        raise DataError(
            f"{name} is made from lists of segments and a folder of clips; "
            f"run: lab data prepare {name} --source FOLDER"
        )
    with tables.scratch(root, name) as scratch:
        return build(
            root,
            name,
            version,
            lambda: plan(Path(source), scratch, progress, classes=classes, held_out=held_out),
            progress=progress,
            workers=os.cpu_count() or 1,
        )


def plan(
    source: Path, scratch: Path, progress: Progress = silent, *, classes: int | None, held_out: int
) -> Plan:
    """What to store of the clips in `source`: see `prepare_as`."""
    known = labels.classes(source, classes)
    listing = find(source, known, progress, scratch)
    train, validation = _hold_out(listing.splits["train"], held_out)
    splits = {"train": train, "validation": validation, "test": listing.splits["test"]}
    found = {split: [clip for clip in clips if not clip.missing] for split, clips in splits.items()}
    coverage.require_all_classes(known, [clip.segment.labels for clip in found["train"]])
    inventory = hashlib.sha256()
    for split, clips in found.items():
        for clip in sorted(clips, key=lambda clip: clip.segment.key):
            what = (split, clip.segment.key, clip.segment.labels, recording.size(clip))
            inventory.update(repr(what).encode())
    return Plan(
        source=inventory.hexdigest()[:16],
        labels=known.names,
        schema=CLIPS,
        splits={
            split: [Entry(clip.segment.key, recording.size(clip), clip) for clip in clips]
            for split, clips in found.items()
        },
        row=lambda entry: recording.row(entry.key, entry.origin),
        remark=recording.remark,
        remarks=listing.remarks,
        conclude=partial(coverage.conclude, known, splits),
        row_group_bytes=ROW_GROUP_BYTES,
    )


def _hold_out(clips: Sequence[Clip], share: int) -> tuple[list[Clip], list[Clip]]:
    """(train, validation): of the clips that are there, those whose names hash lowest are held out; missing
    ones stay in train.
    """
    there = [clip for clip in clips if not clip.missing]
    left = Counter(label for clip in there for label in clip.segment.labels)
    wanted = max(1, len(there) // share)
    held: set[str] = set()
    for clip in sorted(there, key=lambda clip: hashlib.sha256(clip.segment.key.encode()).digest()):
        if len(held) == wanted:
            break
        if all(left[label] > 1 for label in clip.segment.labels):
            held.add(clip.segment.key)
            left.subtract(clip.segment.labels)
    train = [clip for clip in clips if clip.segment.key not in held]
    return train, [clip for clip in clips if clip.segment.key in held]

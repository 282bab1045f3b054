"""How much of AudioSet is there: no two copies are the same, and results on them are not comparable.

Beside the shards are written `coverage.csv`, clips listed, found and stored for each class, and `absent.csv`,
the clips that are not stored. The manifest names the list of test clips by a hash: mean average precisions
of two copies can be compared when it is the same.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from lab.errors import DataError
from pipelines.data.audioset.labels import SUBSET, Classes
from pipelines.data.audioset.source import Clip
from pipelines.data.manifest import Manifest, Split
from pipelines.data.shards import ShardReader
from pipelines.data.storage import Directory

COVERAGE, ABSENT = "coverage.csv", "absent.csv"
Splits = Mapping[str, Sequence[Clip]]


def require_all_classes(classes: Classes, clips: Iterable[Sequence[int]]) -> None:
    """Raise DataError naming the first class that none of the training clips, given by their labels, has."""
    found = Counter(label for labels in clips for label in labels)
    absent = [index for index in range(len(classes.mids)) if not found[index]]
    if absent:
        name, mid = classes.names[absent[0]], classes.mids[absent[0]]
        raise DataError(
            f"{len(absent)} of {len(classes.mids)} classes have no training clip that can be used, the first "
            f"is {name!r} ({mid}): add clips of them, or list the classes to use in {SUBSET}."
        )


def conclude(classes: Classes, listed: Splits, directory: Directory, manifest: Manifest) -> dict[str, int]:
    """Writes the two reports and returns the remarks on what is stored of what was listed.

    Raises DataError when a class has no training clip left.
    """
    stored = {split.name: dict(_stored(directory, manifest, split)) for split in manifest.splits}
    require_all_classes(classes, stored["train"].values())
    _write(directory, COVERAGE, _coverage(classes, listed, stored))
    _write(directory, ABSENT, _absent(listed, stored))
    test = stored["test"]
    name = hashlib.sha256("\n".join(sorted(test)).encode()).hexdigest()[:16]
    remarks = {f"test clips, whose list is {name}": len(test)}
    for split, clips in listed.items():
        remarks[f"{split} clips missing"] = sum(clip.missing for clip in clips)
    heard = {label for labels in test.values() for label in labels}
    remarks["classes without a test clip"] = len(classes.mids) - len(heard)
    return {what: count for what, count in remarks.items() if count}


def _stored(directory: Directory, manifest: Manifest, split: Split) -> Iterator[tuple[str, Sequence[int]]]:
    for file in split.files:
        reader = ShardReader(directory, file, manifest.schema)
        for group in range(len(file.row_groups)):
            yield from ((row["key"], row["labels"]) for row in reader.read(group, ["key", "labels"]))


def _coverage(
    classes: Classes, listed: Splits, stored: Mapping[str, Mapping[str, Sequence[int]]]
) -> Iterator[Sequence[object]]:
    yield "split", "index", "mid", "display_name", "listed", "found", "stored"
    for split, clips in listed.items():
        counts = [
            Counter(label for clip in clips for label in clip.segment.labels),
            Counter(label for clip in clips if not clip.missing for label in clip.segment.labels),
            Counter(label for labels in stored[split].values() for label in labels),
        ]
        for index, (mid, name) in enumerate(zip(classes.mids, classes.names, strict=True)):
            yield split, index, mid, name, *(count[index] for count in counts)


def _absent(listed: Splits, stored: Mapping[str, Mapping[str, object]]) -> Iterator[Sequence[object]]:
    yield "split", "clip", "why"
    for split, clips in listed.items():
        for clip in sorted(clips, key=lambda clip: clip.segment.key):
            if clip.segment.key not in stored[split]:
                yield split, clip.segment.key, "missing" if clip.missing else "unreadable"


def _write(directory: Directory, name: str, lines: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    with directory.writing(name) as stream:
        stream.write(text.getvalue().encode())

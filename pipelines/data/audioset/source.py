"""AudioSet as people hold it: lists of segments, and of their clips those that could be had.

    SOURCE/class_labels_indices.csv                        see `labels`
    SOURCE/balanced_train_segments.csv                     and, or, unbalanced_train_segments.csv
    SOURCE/eval_segments.csv
    SOURCE/**/<name>.wav (flac, mp3, ogg, opus, m4a) and, or, .mp4 (mkv, webm, mov, avi)

where <name> is <ytid> or Y<ytid>, with _<start> or _<start>_<end> in seconds or milliseconds behind it or
not; a file without a start may be the whole video (assumed: when it lasts beyond the segment's end). Or,
without lists, the Parquet files of `agkphysics/AudioSet`, which say themselves what is heard:

    SOURCE/data/{bal_train,unbal_train,eval}/*.parquet     video_id, audio: struct<bytes, path>, labels: mids

A part of the clips is always missing, with the videos: who is missing is known here, and nothing fails.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import DataError
from pipelines.data import tables
from pipelines.data.audioset.labels import INDICES, Classes, Segment, segments
from pipelines.data.build import Progress
from pipelines.data.payload import Extent, Payload

LISTS = {
    "balanced_train_segments.csv": "train",
    "unbalanced_train_segments.csv": "train",
    "eval_segments.csv": "test",
}
SOUND = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aac")
VIDEO = (".mp4", ".m4v", ".mkv", ".webm", ".mov", ".avi")
COLUMNS = ("video_id", "audio.bytes", "labels")

_NAME = re.compile(r"Y??(?P<ytid>[\w-]{11})(?:_(?P<begin>\d+(?:\.\d+)?)(?:_\d+(?:\.\d+)?)?)?")
_TABLE = {"bal_train": "train", "unbal_train": "train", "eval": "test"}


@dataclass(frozen=True, slots=True)
class Media:
    """A file of sound or video. `cut` where it is known to begin with its segment."""

    at: Payload
    cut: bool = True


@dataclass(frozen=True, slots=True)
class Clip:
    """A segment and the files there are of it. Video may have sound; `sound` is preferred."""

    segment: Segment
    sound: Media | None = None
    video: Media | None = None

    @property
    def missing(self) -> bool:
        return self.sound is None and self.video is None


@dataclass(frozen=True)
class Listing:
    """Every listed clip of a split, there or missing, and what was noticed -> how often."""

    splits: Mapping[str, list[Clip]]
    remarks: Mapping[str, int] = field(default_factory=dict)


def find(source: Path, classes: Classes, progress: Progress, scratch: Path) -> Listing:
    """What `source` holds. Parquet files are unpacked into `scratch`.

    Raises DataError: there are no lists, or one is damaged, or no Parquet files in their place.
    """
    listed: Iterator[tuple[str, Clip]]
    lists = {source / name: split for name, split in LISTS.items() if (source / name).is_file()}
    if lists:
        _require_both(source, lists.values(), ", ".join(LISTS))
        held = _files(source)
        listed = (
            (split, _joined(each, held)) for path, split in lists.items() for each in segments(path, classes)
        )
    elif parquet := sorted(Path(path) for path in _walk(source) if path.endswith(".parquet")):
        listed = _tables(source, parquet, classes, progress, scratch)
    else:
        strong = sorted(source.rglob("*strong*.tsv"))
        hint = f"; {strong[0].name} labels events in them, which is another task" if strong else ""
        raise DataError(
            f"{source} has none of {', '.join(LISTS)} and no Parquet files{hint}: put them there."
        )
    return _distinct(listed)


def _require_both(source: Path, splits: Iterable[str], names: str) -> None:
    if missing := {"train", "test"} - set(splits):
        raise DataError(
            f"{source} has nothing to {min(missing)} on: of {names} it takes one of train, and eval."
        )


def _files(source: Path) -> dict[str, list[tuple[str | None, str, Extent]]]:
    """Id -> (its begin as the name has it, ending, file) of all media files, the preferred first."""
    found: dict[str, list[tuple[str | None, str, Extent]]] = {}
    for path in _walk(source):
        stem, ending = os.path.splitext(os.path.basename(path))  # noqa: PTH119, PTH122 -- see Extent
        match = _NAME.fullmatch(stem) if ending.lower() in SOUND + VIDEO else None
        if match and os.path.exists(path):  # noqa: PTH110 -- links to files that are gone
            file = Extent(path, os.stat(path).st_size)  # noqa: PTH116
            found.setdefault(match["ytid"], []).append((match["begin"], ending.lower(), file))
    for files in found.values():
        files.sort(key=lambda file: (file[0] is None, (SOUND + VIDEO).index(file[1]), file[2].path))
    return found


def _walk(source: Path) -> Iterator[str]:
    """Every file below, in folders behind links too. Raises DataError for a folder that cannot be read: its
    clips would be taken for missing.
    """

    def refuse(fault: OSError) -> None:
        raise DataError(f"{fault.filename} cannot be read: {fault.strerror}.")

    for folder, _, names in os.walk(source, onerror=refuse, followlinks=True):
        yield from (os.path.join(folder, name) for name in names if name[0] != ".")  # noqa: PTH118


def _joined(segment: Segment, held: Mapping[str, list[tuple[str | None, str, Extent]]]) -> Clip:
    """The segment with the first sound and the first video whose names fit it."""
    fit = [
        (ending, Media(file, begin is not None))
        for begin, ending, file in held.get(segment.ytid, ())
        if begin is None or segment.begin in {round(float(begin) * 1000), float(begin)}
    ]
    sound = next((file for ending, file in fit if ending in SOUND), None)
    return Clip(segment, sound, next((file for ending, file in fit if ending in VIDEO), None))


def _tables(
    source: Path, paths: list[Path], classes: Classes, progress: Progress, scratch: Path
) -> Iterator[tuple[str, Clip]]:
    split_of = {path: _split_of(path.relative_to(source)) for path in paths}
    used = [path for path in paths if split_of[path]]
    _require_both(source, filter(None, split_of.values()), ", ".join(f"{name}/*.parquet" for name in _TABLE))
    for path, columns in tables.opened(used, COLUMNS, scratch, progress, "audioset"):
        ids, labels = columns["video_id"].to_pylist(), columns["labels"].to_pylist()
        sound = columns["audio.bytes"]
        for row, (ytid, mids) in enumerate(zip(ids, labels, strict=True)):
            try:
                segment = Segment(ytid, None, None, classes.indices(mids))
            except KeyError as unknown:
                raise DataError(f"{path}, row {row}: label {unknown} is not in {INDICES}.") from None
            value = sound[row].as_buffer()
            cell = Media(tables.Cell(sound, row, value.size, str(path))) if value is not None else None
            yield split_of[path], Clip(segment, cell)


def _split_of(path: Path) -> str:
    """Which split a Parquet file belongs to by the names on its path; empty for none."""
    named = (split for part in path.parts for name, split in _TABLE.items() if part.startswith(name))
    return next(named, "")


def _distinct(listed: Iterable[tuple[str, Clip]]) -> Listing:
    """Each segment once: in the test split, if it is in both."""
    clips: dict[str, tuple[str, Clip]] = {}
    twice = unused = 0
    for split, clip in listed:
        unused += not clip.segment.labels
        twice += clip.segment.key in clips
        if clip.segment.labels and (split == "test" or clip.segment.key not in clips):
            clips[clip.segment.key] = split, clip
    splits: dict[str, list[Clip]] = {"train": [], "test": []}
    for split, clip in clips.values():
        splits[split].append(clip)
    noticed = {"segments listed more than once": twice, "segments with none of the classes in use": unused}
    return Listing(splits, {what: count for what, count in noticed.items() if count})

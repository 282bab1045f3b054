"""What AudioSet's lists say: its classes, and which of them are heard in which segment.

    class_labels_indices.csv     index,mid,display_name: the 527 classes, in the order of their indices
    *_segments.csv               YTID, start, end, "mid,mid": a segment a line, under three lines of comment

Two files are easily taken for these. `ontology.json` has 632 sound classes, 105 of which are never labelled,
and another order; `audioset_*_strong.tsv` labels events inside segments, with 456 classes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from lab.errors import DataError

CLASSES = 527
INDICES, SUBSET, ONTOLOGY = "class_labels_indices.csv", "class_labels_subset.csv", "ontology.json"
_HEADER = ["index", "mid", "display_name"]
_SEGMENTS = re.compile(r"num_segs=(\d+)")


@dataclass(frozen=True)
class Classes:
    """mids: the machine ids of the classes that are used, by index · names: theirs · ignored: mids of the
    classes that a person leaves out.
    """

    mids: tuple[str, ...]
    names: tuple[str, ...]
    ignored: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {mid: index for index, mid in enumerate(self.mids)})

    def indices(self, mids: Sequence[str]) -> tuple[int, ...]:
        """In ascending order, without the ignored. Raises KeyError with a mid that is no class."""
        index: dict[str, int] = self.__dict__["_index"]
        return tuple(sorted({index[mid] for mid in mids if mid not in self.ignored}))


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a video and what is heard in it. begin, end: ms, None where the clip is all there is."""

    ytid: str
    begin: int | None
    end: int | None
    labels: tuple[int, ...]

    @property
    def key(self) -> str:
        return self.ytid if self.begin is None else f"{self.ytid}_{self.begin}"


def classes(folder: Path, count: int | None = CLASSES) -> Classes:
    """The classes that `folder` lists: `count` of them, or as many as there are.

    With a file class_labels_subset.csv, lines of the first file under its header, only the classes in it are
    used and numbered anew from 0: the choice of whoever has the clips of some classes only.

    Raises DataError naming the file: it is missing, another file, or its indices do not count from 0.
    """
    path = folder / INDICES
    if not path.is_file():
        hint = f"; {ONTOLOGY} is another list, of 632 sound classes" if (folder / ONTOLOGY).is_file() else ""
        raise DataError(f"{path} is missing, AudioSet's list of {CLASSES} classes{hint}: put it there.")
    listed = _listed(path)
    if [index for index, _, _ in listed] != [str(place) for place in range(len(listed))]:
        raise DataError(f"{path}: the indices must count from 0 in steps of 1; copy it again.")
    if count not in {None, len(listed)}:
        raise DataError(
            f"{path} lists {len(listed)} classes, AudioSet has {count}: copy it again. To use some of them "
            f"only, leave it as it is and list those in {SUBSET}."
        )
    used = listed
    if (folder / SUBSET).is_file():
        kept = {mid for _, mid, _ in _listed(folder / SUBSET)}
        if unknown := sorted(kept - {mid for _, mid, _ in listed}):
            raise DataError(f"{folder / SUBSET} lists {unknown[0]!r}, which is not in {INDICES}: correct it.")
        used = [line for line in listed if line[1] in kept]
    mids = tuple(mid for _, mid, _ in used)
    ignored = frozenset(mid for _, mid, _ in listed) - set(mids)
    return Classes(mids, tuple(name for *_, name in used), ignored)


def segments(path: Path, known: Classes) -> Iterator[Segment]:
    """The segments of one list, in its order; those with none of the classes that are used have no labels.

    Raises DataError naming the file and the line: not such a list, cut short, or a label that is no class.
    """
    promised, found = None, 0
    with _text(path) as file:
        for number, line in enumerate(file, 1):
            if line.startswith("#") or not line.strip():
                match = _SEGMENTS.search(line)
                promised = int(match[1]) if match else promised
                continue
            yield _segment(line, f"{path}, line {number}", known)
            found += 1
    if promised and found < promised:
        raise DataError(
            f"{path} ends after {found:,} of the {promised:,} segments that its second line promises: copy "
            "it again, or correct num_segs there if you shortened it."
        )


def _segment(line: str, where: str, known: Classes) -> Segment:
    if "\t" in line:
        raise DataError(
            f"{where} has tabs: it is a list of strong labels, of events. The labels of whole clips are in "
            "balanced_train_segments.csv, unbalanced_train_segments.csv and eval_segments.csv."
        )
    # Commas separate the fields and, inside quotes behind a space, the labels.
    fields = next(csv.reader([line], skipinitialspace=True))
    try:
        ytid, begin, end, mids = fields
        return Segment(
            ytid, round(float(begin) * 1000), round(float(end) * 1000), known.indices(mids.split(","))
        )
    except ValueError:
        raise DataError(f'{where} must be YTID, start, end, "label,label", it is {line.strip()!r}.') from None
    except KeyError as unknown:
        raise DataError(f"{where}: label {unknown} is not in {INDICES}.") from None


def _listed(path: Path) -> list[list[str]]:
    """[index, mid, display name] of each line of a list of classes. Raises DataError."""
    with _text(path) as file:
        lines = [line for line in csv.reader(file) if line]
    if not lines or lines[0] != _HEADER:
        begins = ",".join(lines[0])[:60] if lines else ""
        raise DataError(f"{path} must begin with the line {','.join(_HEADER)}, it begins with {begins!r}.")
    for line in lines[1:]:
        if len(line) != len(_HEADER):
            raise DataError(f"{path}: a line must be {','.join(_HEADER)}, one is {','.join(line)[:60]!r}.")
    mids = [mid for _, mid, _ in lines[1:]]
    if len(set(mids)) != len(mids):
        raise DataError(f"{path} lists {max(mids, key=mids.count)!r} more than once: copy it again.")
    return lines[1:]


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    """The lines of a file. Raises DataError when it is no text."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield file
    except UnicodeDecodeError:
        raise DataError(f"{path} is no text in UTF-8: copy it again.") from None
    except OSError as fault:
        raise DataError(f"{path} cannot be read: {fault.strerror}.") from None

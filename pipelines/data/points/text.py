"""Tables of numbers in text files, as fast as they can be read, with the line in every refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lab.errors import DataError

Number = TypeVar("Number", np.float64, np.int64)


@dataclass(frozen=True)
class Lines:
    """The lines of a file that say something, each with its number from 1; `where` names the file."""

    where: str
    texts: Sequence[bytes]
    numbers: Sequence[int]

    @classmethod
    def of(cls, data: bytes, where: str) -> Lines:
        """Without blank lines and comments (# to the end of the line), however lines are ended."""
        texts = data.removeprefix(b"\xef\xbb\xbf").splitlines()
        if b"#" in data:
            texts = [text.partition(b"#")[0] for text in texts]
        kept = [index for index, text in enumerate(texts) if text.strip()]
        return cls(where, [texts[index] for index in kept], [index + 1 for index in kept])

    def __len__(self) -> int:
        return len(self.texts)

    def part(self, start: int, stop: int | None = None) -> Lines:
        return Lines(self.where, self.texts[start:stop], self.numbers[start:stop])

    def fault(self, index: int, what: str) -> DataError:
        """The error that line `index` of these is at fault."""
        return DataError(f"{self.where}, line {self.numbers[index]}: {what}.")


def table(lines: Lines, columns: int, row: str, delimiter: str | None = None) -> NDArray[np.float64]:
    """(lines, columns) finite numbers. `row` is what a line holds, for the message of DataError."""
    found = uniform(lines, np.float64, delimiter)
    if found is None or found.shape[1] != columns or not np.isfinite(found).all():
        raise _first_fault(lines, columns, row, delimiter)
    return found


def uniform(lines: Lines, kind: type[Number], delimiter: str | None = None) -> NDArray[Number] | None:
    """(lines, columns) numbers; None when they are not that, or not equally many in each line."""
    if not lines:
        return None
    try:
        return np.loadtxt(lines.texts, dtype=kind, comments=None, delimiter=delimiter, ndmin=2)
    except ValueError:
        return None


def _first_fault(lines: Lines, columns: int, row: str, delimiter: str | None) -> DataError:
    split_at = delimiter.encode() if delimiter else None
    for index, text in enumerate(lines.texts):
        words = text.split(split_at)
        if len(words) != columns:
            return lines.fault(index, f"{row} is {columns} numbers, this line has {len(words)}")
        for word in words:
            if not _finite(word):
                return lines.fault(
                    index, f"{row} is {columns} numbers, {word.decode(errors='replace').strip()!r} is none"
                )
    return DataError(f"{lines.where} holds no {row.rsplit(maxsplit=1)[-1]}.")


def _finite(word: bytes) -> bool:
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False

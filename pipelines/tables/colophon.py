"""What a folder of tables was made from: the scale, the files, and what the record said then.

It lies beside them as `colophon.json`; `lab verify` compares files, colophon and record with each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lab.errors import RecordError
from pipelines.tables.snapshot import Snapshot

FILE = "colophon.json"
VERSION = 1


@dataclass(frozen=True)
class Written:
    """A file: its format, and the exhibits in it."""

    form: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Colophon:
    """files: name -> what is in it, as it was written from `snapshot`."""

    scale: str
    files: Mapping[str, Written] = field(default_factory=dict)
    snapshot: Snapshot = field(default_factory=Snapshot)

    @property
    def names(self) -> list[str]:
        """Every exhibit in any file."""
        return sorted({name for written in self.files.values() for name in written.names})

    def beside(self, other: Colophon | None) -> Colophon:
        """This one and what an earlier one says of files that are still as they were; nothing of another
        scale. Where both hold a run, this one has seen it last."""
        if other is None or other.scale != self.scale:
            return self
        mine, theirs = self.snapshot, other.snapshot
        both = Snapshot(
            held=theirs.held | mine.held,
            groups=theirs.groups | mine.groups,
            curves={
                run: theirs.curves.get(run, {}) | mine.curves.get(run, {})
                for run in theirs.curves.keys() | mine.curves.keys()
            },
            files={
                run: theirs.files.get(run, {}) | mine.files.get(run, {})
                for run in theirs.files.keys() | mine.files.keys()
            },
        )
        return replace(self, files={**other.files, **self.files}, snapshot=both)

    def text(self) -> str:
        """As JSON; the same tables of the same record, the same bytes."""
        files = {name: [w.form, list(w.names)] for name, w in sorted(self.files.items())}
        head = {"version": VERSION, "scale": self.scale, "files": files}
        return json.dumps(head | self.snapshot.data(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def parse(cls, text: str) -> Colophon:
        """Raises RecordError for what is none, and for one of another version."""
        try:
            held = json.loads(text)
            version = held["version"]
        except (ValueError, KeyError, TypeError, RecursionError) as fault:
            raise RecordError(f"this is no {FILE} ({_short(fault)}): make the tables again.") from None
        if version != VERSION:
            raise RecordError(f"{FILE} is of version {version!r}, {VERSION} is read: make the tables again.")
        try:
            scale, files = held["scale"], {name: _written(of) for name, of in held["files"].items()}
            if not isinstance(scale, str):
                raise TypeError(f"its scale is {scale!r}")
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            raise RecordError(f"this is no {FILE} ({_short(fault)}): make the tables again.") from None
        foreign = [name for name in files if Path(name).name != name or name in ("", ".", "..")]
        if foreign:
            raise RecordError(f"{FILE} names {foreign[0]!r}, which is not a file beside it.")
        return cls(scale, files, Snapshot.read(held))

    @classmethod
    def of(cls, folder: Path) -> Colophon | None:
        """The colophon in a folder, None where there is none. Raises RecordError where it cannot be read."""
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            return cls.parse(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as fault:
            raise RecordError(f"{path} cannot be read ({_short(fault)}): make the tables again.") from None


def _written(item: object) -> Written:
    match item:
        case [str(form), [*names]] if all(isinstance(name, str) for name in names):
            return Written(form, tuple(map(str, names)))
    raise TypeError(f"it says {item!r} of a file")


def _short(fault: Exception) -> str:
    """What is wrong, without pages of what was found."""
    return f"{type(fault).__name__}: {str(fault)[:100]}"

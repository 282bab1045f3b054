"""One file from which the tables can be made again on another machine, without the runs and without MLflow.

    colophon.json   the record: runs with their parameters, tags and every scalar
    tables/         the exhibits in every format, as they were written
    specs/          the specification of every run, as it is hashed
    chains/         what every run went through, hash by hash
    lock.txt        the packages it was made with
    code.json       the commit
    manifest.json   the sha256 of all these

It is a zip that holds JSON and text alone; nothing in it is unpacked to a disk, imported or executed. The
same record gives the same bytes. It is not signed: the hashes find damage, not a forger who makes them anew
(docs/verify.md).
"""

from __future__ import annotations

import hashlib
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import distributions
from pathlib import Path
from typing import cast, get_args

from lab.errors import RecordError
from lab.sweep import Sweep
from lab.tracking.provenance import provenance
from lab.tracking.tracker import Tracker
from lab.train.chain import FILE as CHAIN
from pipelines.tables.build import Format, assemble, searched, written
from pipelines.tables.colophon import FILE, Colophon, Written
from pipelines.tables.snapshot import Witness

MANIFEST, LOCK, CODE = "manifest.json", "lock.txt", "code.json"
LARGEST = 2**31
"""bytes that all of it may have unpacked, since it is read into memory: no more is written, or read"""
UNREADABLE = (
    OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, UnicodeDecodeError, RuntimeError,
    NotImplementedError,
)  # fmt: skip
"""what reading a zip raises where it is none, is damaged or is locked"""
_MEMBER = re.compile(r"(?:(?:tables|specs|chains)/)?[A-Za-z0-9][A-Za-z0-9._-]*")
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


def pack(
    out: Path,
    names: Sequence[str],
    tracker: Tracker,
    sweeps: Mapping[str, Sweep],
    made_with: Mapping[str, str] | None = None,
) -> Colophon:
    """Write the archive of these exhibits and of all searches among the sweeps. Raises what `assemble`
    raises, and RecordError where it would be larger than can be read.

    made_with: the lock and the code, of another archive that the record is taken from; else those of now.
    """
    witness = Witness(tracker)
    reading = cast(Tracker, witness)
    tables, searches = assemble(names, reading, sweeps), searched(reading, sweeps)
    runs = sorted({run.run_id for run in witness.snapshot().held.values()})
    witness.histories(runs)
    members: dict[str, str] = {}
    files: dict[str, Written] = {}
    for form in get_args(Format):
        of = written(tables, form, searches if form == "html" else (), reading)
        for name, (holds, text) in of.items():
            members[f"tables/{name}"], files[name] = text, Written(form, holds)
    colophon = Colophon(next((s.scale for s in sweeps.values()), ""), files, witness.snapshot())
    for run_id, run in colophon.snapshot.held.items():
        members[f"specs/{run.digest}.json"] = run.spec
        chain = tracker.text(run_id, CHAIN)
        if chain is not None:
            members[f"chains/{run_id}.json"] = chain
    members |= {FILE: colophon.text(), **(_made_now() if made_with is None else made_with)}
    size = sum(len(text.encode()) for text in members.values())
    if size > LARGEST:
        raise RecordError(
            f"the archive of {', '.join(names)} would be {size / 1e9:.1f} GB unpacked, and no more than "
            f"{LARGEST / 1e9:.1f} GB can be read again: pack fewer exhibits at a time."
        )
    members[MANIFEST] = json.dumps({n: _sha256(t) for n, t in sorted(members.items())}, indent=1) + "\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, text in sorted(members.items()):
            member = zipfile.ZipInfo(name, _LONG_AGO)
            member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(member, text.encode())
    return colophon


@dataclass(frozen=True)
class Archive:
    """What `pack` wrote, read back."""

    members: Mapping[str, str]
    colophon: Colophon

    @classmethod
    def open(cls, path: Path) -> Archive:
        """Raises RecordError for what is no archive of ours."""
        try:
            with zipfile.ZipFile(path) as archive:
                members = dict(_read(archive))
        except UNREADABLE as fault:
            raise RecordError(f"{path} cannot be read as an archive of `lab pack` ({fault}).") from None
        if FILE not in members or MANIFEST not in members:
            raise RecordError(f"{path} is no archive of `lab pack`: it has no {FILE} or no {MANIFEST}.")
        colophon = Colophon.parse(members[FILE])
        files = dict(colophon.snapshot.files)
        for name, text in members.items():
            if name.startswith("chains/"):
                run_id = name.removeprefix("chains/").removesuffix(".json")
                files[run_id] = {**files.get(run_id, {}), CHAIN: text}
        return cls(members, replace(colophon, snapshot=replace(colophon.snapshot, files=files)))

    @property
    def made_with(self) -> dict[str, str]:
        """The lock and the code."""
        return {name: self.members[name] for name in (LOCK, CODE) if name in self.members}

    @property
    def runs(self) -> dict[str, str]:
        """Run id -> digest of all that it holds a chain of, whether or not the record in it has them."""
        chains = {name: text for name, text in self.members.items() if name.startswith("chains/")}
        found = {name: re.search(r'"digest": "(\w+)"', text) for name, text in chains.items()}
        return {name[7:].removesuffix(".json"): match[1] for name, match in found.items() if match}

    def table(self, name: str) -> str | None:
        """The text of one of the written tables."""
        return self.members.get(f"tables/{name}")

    def damage(self) -> Iterator[str]:
        """What is not as it was packed, by the manifest."""
        try:
            packed = dict(json.loads(self.members[MANIFEST]))
        except ValueError:
            yield f"{MANIFEST} cannot be read"
            return
        for name in sorted((packed.keys() | self.members.keys()) - {MANIFEST}):
            if name not in self.members:
                yield f"{name} is gone from the archive"
            elif packed.get(name) != _sha256(self.members[name]):
                yield f"{name} is not what was packed"


def _read(archive: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    """Every member, as text. Sizes are looked at before anything is unpacked, and again while it is."""
    items = archive.infolist()
    if (size := sum(item.file_size for item in items)) > LARGEST:
        raise RecordError(
            f"the archive is {size / 1e9:.1f} GB unpacked, more than the {LARGEST / 1e9:.1f} GB that "
            "`lab pack` writes at most."
        )
    if len({item.filename for item in items}) != len(items):
        raise RecordError("the archive names a member twice, which `lab pack` does not.")
    for item in items:
        if not _MEMBER.fullmatch(item.filename):
            raise RecordError(f"the archive holds {item.filename!r}, which `lab pack` does not write.")
        with archive.open(item) as member:
            data = member.read(item.file_size + 1)
        if len(data) != item.file_size:
            raise RecordError(f"{item.filename!r} in the archive has not the size that it says.")
        yield item.filename, data.decode()


def _made_now() -> dict[str, str]:
    installed = {f"{d.metadata['Name']}=={d.version}" for d in distributions() if d.metadata["Name"]}
    return {
        LOCK: "".join(f"{line}\n" for line in sorted(installed, key=str.lower)),
        CODE: json.dumps(provenance(), indent=1, sort_keys=True) + "\n",
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

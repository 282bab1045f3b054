"""From a plan to shards: locked, restartable, and the same bytes however often it was killed.

A file that is already there and was written for the same part of the same plan is kept, after its checksums
were read. The manifest is written last: without one, the data set is not prepared.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain

from lab.errors import CorruptShard, DataError, StorageUnavailable
from pipelines.data import manifest as manifests
from pipelines.data import shards
from pipelines.data.manifest import Manifest, ShardFile, Split
from pipelines.data.plan import Entry, LeftOut, Part, Plan, parts
from pipelines.data.shards import Row, ShardReader, schema_text
from pipelines.data.storage import Directory
from pipelines.data.unreadable import FOUND, Fault, SomeUnreadable, Unreadable, refuse, without_left_out

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many examples (or files, or folders) are done, and how many there
are."""


def silent(what: str, done: int, total: int) -> None:
    """No progress."""


@dataclass(frozen=True)
class Prepared:
    """The outcome of a preparation; `already` when there was nothing to do but verify."""

    manifest: Manifest
    address: str
    already: bool

    def __str__(self) -> str:
        done = "already prepared and verified" if self.already else "prepared"
        counts = ", ".join(f"{split.name} {split.rows:,}" for split in self.manifest.splits)
        name, fingerprint = self.manifest.name, self.manifest.fingerprint
        told = "".join(f"\n  {count:,} {what}" for what, count in self.manifest.remarks.items())
        return f"{name}: {done} under {self.address} ({counts}; fingerprint {fingerprint}){told}"


def build(
    root: str,
    name: str,
    version: int,
    plan: Callable[[], Plan],
    *,
    progress: Progress = silent,
    workers: int = 4,
) -> Prepared:
    """Makes `root`/`name` what the plan says, doing only what is not done. `plan` is asked only when needed.

    Raises DataError when the source or some examples cannot be read (see `unreadable`) or the storage cannot
    be written; the files finished so far are kept for the next attempt, nothing half-written is.
    """
    directory = Directory.at(root, name)
    with directory.locked():
        try:
            manifest = manifests.read(directory, version)
            verify(directory, manifest, progress)
            directory.sweep()
            return Prepared(manifest, directory.address, already=True)
        except StorageUnavailable:
            raise
        except DataError:
            made = without_left_out(plan(), directory)
        directory.sweep()
        _drop_damaged(directory, version)
        manifest = _write(directory, version, made, progress, workers)
        manifest = replace(manifest, remarks={**manifest.remarks, **made.conclude(directory, manifest)})
        _drop_strangers(directory, manifest)
        directory.delete(FOUND)
        manifests.write(directory, manifest)
        return Prepared(manifest, directory.address, already=False)


def verify(directory: Directory, manifest: Manifest, progress: Progress = silent) -> None:
    """Reads every byte and compares it with the manifest, and the manifest with what the files say.

    Raises DataError naming a missing file or a manifest that was changed, CorruptShard naming a damaged file
    and, where the damage has a place, the row group.
    """
    manifests.check_sizes(directory, manifest)
    owners = {file.sha256: file.name for file in manifest.files}
    count = _Count(progress, f"verify {manifest.name}", sum(file.rows for file in manifest.files))
    with ThreadPoolExecutor(directory.reads, thread_name_prefix="verify") as pool:
        digests = [pool.submit(directory.sha256, file.name) for file in manifest.files]
        try:
            for file, digest in zip(manifest.files, digests, strict=True):
                if digest.result() != file.sha256:
                    raise _damage(directory, manifest, file, owners.get(digest.result()))
                count.add(file.rows)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    _require_described(directory, manifest)


def _damage(directory: Directory, manifest: Manifest, file: ShardFile, owner: str | None) -> CorruptShard:
    """What is wrong with a file whose checksum is not the manifest's. Raises CorruptShard, too: the one that
    names the row group, where there is one."""
    if owner:
        why = f"holds the bytes of {owner}"
    else:
        for _ in _rows(directory, file, manifest.schema):
            pass
        why = "is damaged outside its row groups: its sha256 is not the manifest's"
    return CorruptShard(f"{directory.file(file.name)} {why}; {directory.remedy}")


def _require_described(directory: Directory, manifest: Manifest) -> None:
    """The files are those that were written for what the manifest says they are. Raises DataError."""
    listed = {file.name for file in manifest.files}
    strangers = sorted(name for name in directory.sizes() if name.endswith(".parquet") and name not in listed)
    if strangers:
        raise DataError(f"{directory.file(strangers[0])} is not in the manifest; {directory.remedy}")
    for split in manifest.splits:
        for file in split.files:
            footer = shards.footer(directory, file.name)
            agree = {
                "version": footer.about["version"] == str(manifest.version),
                "source": footer.about["source"] == manifest.source,
                "labels": json.loads(footer.about["labels"]) == list(manifest.labels),
                "split": footer.about["split"] == split.name,
                "row_groups": footer.row_groups == file.row_groups,
            }
            for what in (what for what, agrees in agree.items() if not agrees):
                raise DataError(
                    f"{directory.file(manifests.NAME)} was changed: its {what} is not what {file.name} was "
                    f"written for; {directory.remedy}"
                )


def _write(directory: Directory, version: int, plan: Plan, progress: Progress, workers: int) -> Manifest:
    """Every file of the plan, written or found in order, and the manifest of them all."""
    name = directory.name
    wanted = [part for split in plan.splits for part in parts(plan, name, version, split)]
    files: dict[str, list[ShardFile]] = {split: [] for split in plan.splits}
    remarks = Counter(plan.remarks)
    faults: list[Fault] = []
    present = directory.sizes()
    count = _Count(progress, f"write {name}", sum(map(len, plan.splits.values())))
    with ThreadPoolExecutor(workers, thread_name_prefix="prepare") as pool:
        pending = [pool.submit(_file, directory, plan, part, part.name in present, count) for part in wanted]
        try:
            for part, future in zip(wanted, pending, strict=True):
                try:
                    file, remarked = future.result()
                except SomeUnreadable as found:
                    faults += found.faults
                    continue
                files[part.split] += [file] if file else []
                remarks += remarked
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if faults:
        raise refuse(directory, faults, count.total)
    splits = tuple(Split(split, tuple(written)) for split, written in files.items())
    return Manifest(name, version, plan.source, plan.labels, schema_text(plan.schema), splits, dict(remarks))


def _file(
    directory: Directory, plan: Plan, part: Part, present: bool, count: _Count
) -> tuple[ShardFile | None, Counter[str]]:
    """One file, none where all its examples are left out, and what was remarked about them. Raises
    SomeUnreadable, having looked at all of them.
    """
    if present:
        try:
            file, remarks = _kept(directory, plan, part)
            count.add(file.rows)
            return file, remarks
        except CorruptShard:
            directory.delete(part.name)
    remarks, left_out = Counter[str](), Counter[str]()
    faults: list[Fault] = []

    def made(group: Sequence[Entry]) -> list[Row]:
        rows = []
        for entry in group:
            try:
                row = _row(plan, entry)
                remarks.update(filter(None, [plan.remark(row)]))
                rows.append(row)
            except LeftOut as why:
                left_out[str(why)] += 1
            except Unreadable as fault:
                faults.append(Fault(part.split, entry.key, f"{fault} ({entry.origin})"))
        count.add(len(group))
        return rows

    def groups() -> Iterator[list[Row]]:
        yield from filter(None, map(made, part.row_groups))
        if faults:
            raise SomeUnreadable(faults)

    rows = groups()
    first = next(rows, None)
    if first is None:
        return None, left_out
    rows = chain([first], rows)
    file = shards.write_shard(directory, part.name, plan.schema, part.about, rows, left_out=left_out)
    return file, remarks + left_out


def _row(plan: Plan, entry: Entry) -> Row:
    try:
        return plan.row(entry)
    except OSError as fault:
        raise DataError(f"source of example {entry.key} cannot be read: {fault}.") from None


def _kept(directory: Directory, plan: Plan, part: Part) -> tuple[ShardFile, Counter[str]]:
    """A file from an earlier attempt. Raises CorruptShard when it is damaged or belongs to another plan."""
    footer = shards.footer(directory, part.name)
    examples = sum(footer.row_groups) + sum(footer.left_out.values())
    if footer.about != part.about or examples != sum(map(len, part.row_groups)):
        raise CorruptShard(f"{directory.file(part.name)} was written for another plan.")
    file = ShardFile(
        name=part.name,
        row_groups=footer.row_groups,
        sha256=directory.sha256(part.name),
        bytes=directory.sizes()[part.name],
    )
    rows = _rows(directory, file, schema_text(plan.schema))
    return file, Counter(filter(None, map(plan.remark, rows))) + Counter(footer.left_out)


@dataclass
class _Count:
    """How many examples are done, over all threads."""

    progress: Progress
    what: str
    total: int
    done: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.progress(self.what, 0, self.total)

    def add(self, examples: int) -> None:
        with self.lock:
            self.done += examples
            self.progress(self.what, self.done, self.total)


def _rows(directory: Directory, file: ShardFile, schema: Mapping[str, str]) -> Iterator[Row]:
    reader = ShardReader(directory, file, schema)
    for group in range(len(file.row_groups)):
        yield from reader.read(group, list(schema))


def _drop_damaged(directory: Directory, version: int) -> None:
    """Deletes the files that an earlier manifest contradicts, and that manifest."""
    try:
        listed = manifests.read(directory, version).files
    except StorageUnavailable:
        raise
    except DataError:
        listed = ()
    sizes = directory.sizes()
    for file in listed:
        if file.name in sizes and directory.sha256(file.name) != file.sha256:
            directory.delete(file.name)
    directory.delete(manifests.NAME)


def _drop_strangers(directory: Directory, manifest: Manifest) -> None:
    """Deletes the shards of earlier plans, which nothing refers to any more."""
    listed = {file.name for file in manifest.files}
    for name in directory.sizes():
        if name.endswith(".parquet") and name not in listed:
            directory.delete(name)

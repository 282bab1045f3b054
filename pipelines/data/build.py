"""From a plan to shards: locked, restartable, and the same bytes however often it was killed.

A file that is already there and was written for the same part of the same plan is kept, after its checksums
were read. The manifest is written last: without one, the data set is not prepared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lab.errors import CorruptShard, DataError
from pipelines.data import manifest as manifests
from pipelines.data import shards
from pipelines.data.manifest import Manifest, ShardFile, Split
from pipelines.data.plan import Entry, Part, Plan, parts
from pipelines.data.shards import Row, ShardReader, schema_text
from pipelines.data.storage import PARTIAL, Directory

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


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
        return f"{name}: {done} under {self.address} ({counts}; fingerprint {fingerprint})"


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

    Raises DataError when the source cannot be read or the storage cannot be written; the files finished so
    far are kept for the next attempt, nothing half-written is.
    """
    directory = Directory.at(root, name)
    with directory.locked():
        try:
            manifest = manifests.read(directory, version)
            verify(directory, manifest, progress)
            return Prepared(manifest, directory.path, already=True)
        except DataError:
            made = plan()
        directory.sweep()
        _drop_damaged(directory, version)
        manifest = _write(directory, version, made, progress, workers)
        _drop_strangers(directory, manifest)
        manifests.write(directory, manifest)
        return Prepared(manifest, directory.path, already=False)


def verify(directory: Directory, manifest: Manifest, progress: Progress = silent) -> None:
    """Reads every byte and compares it with the manifest.

    Raises DataError naming a missing file, CorruptShard naming a damaged one and, where the damage has a
    place, the row group.
    """
    manifests.check_sizes(directory, manifest)
    for done, file in enumerate(manifest.files):
        progress(f"verify {manifest.name}", done, len(manifest.files))
        if directory.sha256(file.name) != file.sha256:
            for _ in _rows(directory, file, manifest.schema):
                pass
            raise CorruptShard(
                f"{directory.file(file.name)} is damaged outside its row groups: its sha256 is not the "
                f"manifest's; {directory.remedy}"
            )
    progress(f"verify {manifest.name}", len(manifest.files), len(manifest.files))


def _write(directory: Directory, version: int, plan: Plan, progress: Progress, workers: int) -> Manifest:
    """Every file of the plan, written or found in order, and the manifest of them all."""
    name = directory.name
    wanted = [part for split in plan.splits for part in parts(plan, name, version, split)]
    files: dict[str, list[ShardFile]] = {split: [] for split in plan.splits}
    remarks = Counter(plan.remarks)
    present = directory.sizes()
    with ThreadPoolExecutor(workers, thread_name_prefix="prepare") as pool:
        pending = [pool.submit(_file, directory, plan, part, part.name in present) for part in wanted]
        try:
            for done, (part, future) in enumerate(zip(wanted, pending, strict=True)):
                progress(f"write {name}", done, len(wanted))
                file, remarked = future.result()
                files[part.split].append(file)
                remarks += remarked
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    progress(f"write {name}", len(wanted), len(wanted))
    splits = tuple(Split(split, tuple(written)) for split, written in files.items())
    return Manifest(name, version, plan.source, plan.labels, schema_text(plan.schema), splits, dict(remarks))


def _file(directory: Directory, plan: Plan, part: Part, present: bool) -> tuple[ShardFile, Counter[str]]:
    """One file, and what was remarked about its rows."""
    if present:
        try:
            return _kept(directory, plan, part)
        except CorruptShard:
            directory.delete(part.name)
    remarks: Counter[str] = Counter()

    def made(group: Sequence[Entry]) -> list[Row]:
        rows = [_row(plan, entry) for entry in group]
        remarks.update(filter(None, map(plan.remark, rows)))
        return rows

    groups = (made(group) for group in part.row_groups)
    return shards.write_shard(directory, part.name, plan.schema, part.about, groups), remarks


def _row(plan: Plan, entry: Entry) -> Row:
    try:
        return plan.row(entry)
    except OSError as fault:
        raise DataError(f"source of example {entry.key} cannot be read: {fault}.") from None


def _kept(directory: Directory, plan: Plan, part: Part) -> tuple[ShardFile, Counter[str]]:
    """A file from an earlier attempt. Raises CorruptShard when it is damaged or belongs to another plan."""
    if shards.about(directory, part.name) != dict(part.about):
        raise CorruptShard(f"{directory.file(part.name)} was written for another plan.")
    file = ShardFile(
        name=part.name,
        row_groups=tuple(len(group) for group in part.row_groups),
        sha256=directory.sha256(part.name),
        bytes=directory.sizes()[part.name],
    )
    rows = _rows(directory, file, schema_text(plan.schema))
    return file, Counter(filter(None, map(plan.remark, rows)))


def _rows(directory: Directory, file: ShardFile, schema: Mapping[str, str]) -> Iterator[Row]:
    reader = ShardReader(directory, file, schema)
    try:
        for group in range(len(file.row_groups)):
            yield from reader.read(group, list(schema))
    finally:
        reader.close()


def _drop_damaged(directory: Directory, version: int) -> None:
    """Deletes the files that an earlier manifest contradicts, and that manifest."""
    try:
        listed = manifests.read(directory, version).files
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
        if name.endswith((".parquet", PARTIAL)) and name not in listed:
            directory.delete(name)

"""What a prepared data set holds, in words and numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipelines.data.manifest import Manifest
from pipelines.data.prepare import declared, opened
from pipelines.data.storage import Directory

LISTED = 20
"""Of more classes than this only the most and the least frequent are listed."""

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Description:
    """Where a data set is, how much there is of it, and of what. balance: split -> label -> examples."""

    manifest: Manifest
    address: str
    balance: Mapping[str, Mapping[str, int]]

    def __str__(self) -> str:
        return "\n".join([*self._heading(), "", *self._splits(), "", *self._classes(), *self._remarks()])

    def _heading(self) -> Iterator[str]:
        manifest = self.manifest
        yield f"{manifest.name}, version {manifest.version}, fingerprint {manifest.fingerprint}"
        yield f"  where      {self.address}, {size(manifest.bytes)} in {len(manifest.files)} files"
        yield f"  made from  {manifest.source}"

    def _splits(self) -> Iterator[str]:
        several = "labels" in self.manifest.schema
        yield f"  {'split':<12}{'examples':>12}{'classes':>14}   of each class" + several * "   labels each"
        for split in self.manifest.splits:
            counts = self.balance[split.name].values()
            classes = f"{len(counts):,} of {len(self.manifest.labels):,}"
            least, most = min(counts, default=0), max(counts, default=0)
            each = f"{least:,} to {most:,}" if least < most else f"{most:,}"
            labels = f"   {sum(counts) / max(1, split.rows):.2f}" if several else ""
            yield f"  {split.name:<12}{split.rows:>12,}{classes:>14}   {each:<13}{labels}".rstrip()

    def _classes(self) -> Iterator[str]:
        splits = [split.name for split in self.manifest.splits]
        totals = {
            label: sum(self.balance[split].get(label, 0) for split in splits)
            for label in self.manifest.labels
        }
        shown = list(totals)
        if len(shown) > LISTED:
            ordered = sorted(shown, key=lambda label: -totals[label])
            shown = [*ordered[: LISTED // 2], "", *ordered[-LISTED // 2 :]]
        width = max(map(len, [*shown, "class"])) + 2
        yield f"  {'class':<{width}}" + "".join(f"{split:>12}" for split in splits)
        for label in shown:
            if label:
                counts = (f"{self.balance[split].get(label, 0):>12,}" for split in splits)
                yield f"  {label:<{width}}" + "".join(counts)
            else:
                yield f"  ... {len(totals) - LISTED:,} classes between the most and the least frequent"

    def _remarks(self) -> Iterator[str]:
        if self.manifest.remarks:
            yield "\n  remarked while it was prepared"
        for what, count in self.manifest.remarks.items():
            yield f"  {count:>10,}  {what}"


def describe(root: str, name: str) -> Description:
    """Counts of a prepared data set, from its labels. Raises as opening it does."""
    stream = opened(root, name)
    balance = {}
    for split in stream.manifest.splits:
        counts = Counter(stream.labels(split.name))
        balance[split.name] = {stream.manifest.labels[label]: counts[label] for label in sorted(counts)}
    return Description(stream.manifest, Directory.at(root, declared(name)[0].name).address, balance)


def size(of: float) -> str:
    """Bytes as a person reads them: `9.8 MB`, in powers of 1,000."""
    for unit in _UNITS:
        if of < 1000 or unit == _UNITS[-1]:
            break
        of /= 1000
    return f"{of:,.0f} {unit}" if unit == "bytes" else f"{of:,.1f} {unit}"

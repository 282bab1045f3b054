"""Data in one run: decoding, loaders side by side, reading of shards, and what an example of each view costs.

    python benchmarks/data.py                    two or three minutes
    python benchmarks/data.py --images 6000 --rounds 5
    python benchmarks/data.py --peers peers      with the packages that this made, where pip can:
        pip install --no-deps --target peers webdataset braceexpand mosaicml-streaming

The images are made in the run (benchmarks/photographs.py), in a temporary folder which is deleted. Everything
measured is a process of its own, or several: CPU seconds and memory (PSS) are those of all of them. Programs
alternate in rounds, so that a noisy machine is noisy for all; numbers are medians over the rounds, ratios are
medians of the ratios within a round. Files are in the page cache. A loader's first epoch has its start in it;
imports and the start of Ray are in none. Its first batch is timed from there.

How near a loader can come to bare decoding, which takes about a millisecond an image (measured on a busy
machine, by the least of many repetitions): checking the page checksums of 97 kB takes 24 us (Arrow's CRC,
4 GB/s), fetching and parsing them 6 to 10, Python between the calls about as much. That leaves 0.95 by one
thread; a second waits for the interpreter's lock and costs another 4 %. Beside a DataLoader at 0.81, whose
examples are copied into a batch and the batch into shared memory, it is 1.17 times as many images per CPU
second by one thread and 1.12 by two; without checksums it would be 1.20 and 1.15.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "platform"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.loaders import LOADERS, missing, row_groups
from benchmarks.measure import machine
from benchmarks.photographs import photographs
from benchmarks.processes import Mark, Watched, watch
from pipelines.data.build import build
from pipelines.data.imagenet import VERSION
from pipelines.data.plan import IMAGES, Entry, Plan

HERE = Path(__file__).resolve().parent

FILE_BYTES = 32 << 20
"""Small shards: loaders that go from file to file have some to go to."""

READ_BYTES = 4 << 30
"""Read of each kind in a round, about a second."""


def make_shards(folder: Path, number: int) -> int:
    """ImageNet's shards of that many images, by its own writer; their bytes."""
    images = list(photographs(number))
    plan = Plan(
        source="photographs",
        labels=tuple(str(label) for label in range(1000)),
        schema=IMAGES,
        splits={"train": [Entry(f"{index:06d}", len(image), index) for index, image in enumerate(images)]},
        row=lambda entry: {"key": entry.key, "label": entry.origin % 1000, "image": images[entry.origin]},
        file_bytes=FILE_BYTES,
    )
    build(str(folder / "shards"), "imagenet", VERSION, lambda: plan)
    return sum(map(len, images))


def make_files(folder: Path) -> None:
    """The same images as files."""
    (folder / "files").mkdir()
    for row in chain.from_iterable(row_groups(folder)):
        (folder / "files" / f"{row['key']}.jpeg").write_bytes(row["image"])


def make_tars(folder: Path) -> None:
    """The same images as webdataset keeps them."""
    (folder / "tars").mkdir()
    for number, rows in enumerate(row_groups(folder)):
        with tarfile.open(folder / "tars" / f"{number:04d}.tar", "w") as tar:
            for row in rows:
                for suffix, data in (("jpg", row["image"]), ("cls", str(row["label"]).encode())):
                    member = tarfile.TarInfo(f"{row['key']}.{suffix}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))


def make_mds(folder: Path) -> None:
    """The same images as mosaicml-streaming keeps them."""
    from streaming import MDSWriter

    with MDSWriter(out=str(folder / "mds"), columns={"image": "bytes", "label": "int"}) as writer:
        for row in chain.from_iterable(row_groups(folder)):
            writer.write({"image": row["image"], "label": row["label"]})


OTHER_FORMS: dict[str, Callable[[Path], None]] = {
    "torch": make_files,
    "webdataset": make_tars,
    "streaming": make_mds,
}
"""What loaders that need these modules read."""


OURS = "ours, 2 threads"
"""What the others are compared with."""


def rate(mark: Mark) -> float:
    """Examples, or bytes, per CPU second of all processes."""
    return mark.count / mark.cpu_seconds


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def ratio(values: Sequence[float], others: Sequence[float]) -> str:
    """The median of the ratios within the rounds."""
    return f"{median([value / other for value, other in zip(values, others, strict=True)]):.2f}"


def table(*head: str) -> None:
    print(f"\n| {' | '.join(head)} |\n{'|---' * len(head)}|")


def line(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def show_decoders(rounds: Sequence[Watched]) -> None:
    print("\n## Decoding: one thread, files in memory")
    table("", "images per CPU second", "of libjpeg-turbo", "of Pillow")
    names = {
        "libjpeg-turbo": "libjpeg-turbo, whole image, nothing else",
        "ours": "ours: decode, crop, flip, resize",
        "Pillow": "Pillow: the same",
    }
    rates = {key: [rate(each.part(key)) for each in rounds] for key in names}
    for key, name in names.items():
        of = [ratio(rates[key], rates[other]) for other in ("libjpeg-turbo", "Pillow")]
        line(name, f"{median(rates[key]):,.0f}", *of)


def show_loaders(rounds: dict[str, list[Watched]], bare: Sequence[Watched]) -> None:
    print("\n## Loaders: shuffled batches of 8-bit pixels, all with our decoding but the one with Pillow's")
    table(
        "",
        "images per CPU second, first epoch",
        "later epochs",
        "that, of bare decoding",
        f"of {OURS}",
        "images per second",
        "first batch, s",
        "peak MB",
        "processes",
    )
    ours = [rate(run.part("epoch")) for run in rounds.get(OURS, [])]
    for name, runs in rounds.items():
        failed = next((run.ended for run in runs if run.ended), None)
        if failed:
            line(name, f"failed: {failed}")
            continue
        later = [run.part("epoch") for run in runs]
        first = [rate(run.part("first batch", "rest of the first epoch")) for run in runs]
        rates = [rate(each) for each in later]
        line(
            name,
            f"{median(first):,.0f}",
            f"{median(rates):,.0f}",
            ratio(rates, [rate(decoding.part("ours")) for decoding in bare]),
            ratio(rates, ours) if ours else "-",
            f"{median([each.count / each.seconds for each in later]):,.0f}",
            f"{median([run.part('first batch').seconds for run in runs]):.2f}",
            f"{median([run.peak for run in runs]) / 1e6:,.0f}",
            f"{median([run.processes for run in runs]):.0f}",
        )


def show_reading(rounds: Sequence[Watched]) -> None:
    print("\n## Reading: no decoding, every cache line touched")
    table("", "MB per CPU second", "MB per second", "of in order, per CPU second")
    names = {
        "plain": "plain files, a MB at a time",
        "in order": "shards in stored order, checksums verified",
        "shuffled": "shards shuffled, checksums verified",
    }
    parts = {key: [each.part(key) for each in rounds] for key in names}
    rates = {key: [rate(part) / 1e6 for part in found] for key, found in parts.items()}
    for key, name in names.items():
        wall = [part.count / part.seconds / 1e6 for part in parts[key]]
        line(name, f"{median(rates[key]):,.0f}", f"{median(wall):,.0f}", ratio(rates[key], rates["in order"]))


def show_views() -> None:
    print("\n## An example, by the data sets' own views")
    table("", "bytes stored", "CPU ms", "examples per CPU second")
    answer = subprocess.run(
        [sys.executable, str(HERE / "views.py")], stdout=subprocess.PIPE, text=True, check=True
    )
    for name, (stored, milliseconds) in json.loads(answer.stdout).items():
        line(name, f"{stored:,}", f"{milliseconds:.2f}", f"{1000 / milliseconds:,.0f}")


def measure(options: argparse.Namespace, folder: Path) -> None:
    print(
        f"# Data: {options.images:,} JPEGs, batches of {options.batch}, "
        f"{options.epochs} epochs in each of {options.rounds} rounds\n"
    )
    stored = make_shards(folder, options.images)
    print(
        f"{machine('cpu')}; load {os.getloadavg()[0]:.1f} at the start; "
        f"{stored / options.images / 1e3:.0f} kB an image"
    )
    found = {name: missing(module) for name, (_, _, module) in LOADERS.items()}
    names = [name for name, reason in found.items() if reason is None and options.only in name]
    for module, make in OTHER_FORMS.items():
        if any(LOADERS[name][2] == module for name in names):
            make(folder)

    def run(name: str) -> Watched:
        command = [sys.executable, str(HERE / "loaders.py"), name, str(folder)]
        command += ["--batch", str(options.batch), "--epochs", str(options.epochs)]
        command += ["--passes", str(max(1, READ_BYTES // stored))]
        return watch(command + (["--peers", str(options.peers)] if options.peers else []))

    decoding, reading = [], []
    loading: dict[str, list[Watched]] = {name: [] for name in names}
    for _ in range(options.rounds):
        decoding.append(run("decoders"))
        for name in names:
            loading[name].append(run(name))
        reading.append(run("reading"))
    show_decoders(decoding)
    show_loaders(loading, decoding)
    for name, reason in found.items():
        if reason:
            print(f"\nWithout {name}: it cannot be imported ({reason}).")
    show_reading(reading)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=3, help="of each loader in a round, 2 or more")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="loaders whose names have this in them")
    parser.add_argument("--peers", type=Path, help="folder with packages of other loaders")
    options = parser.parse_args()
    sys.path += [str(options.peers.resolve())] if options.peers else []
    with tempfile.TemporaryDirectory(prefix="data-", ignore_cleanup_errors=True) as folder:
        measure(options, Path(folder))
    show_views()


if __name__ == "__main__":
    main()

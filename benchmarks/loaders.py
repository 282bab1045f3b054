"""The loaders that benchmarks/data.py compares, each a program of its own: `loaders.py NAME FOLDER OPTIONS`.

All give batches (b, 224, 224, 3) of 8-bit pixels from the same JPEGs, in random order. All decode, crop,
mirror and resize with our function, so that what differs is what they do besides; one decodes with Pillow,
as most people's DataLoader does. RandAugment is left out: it would be most of the time.
"""

from __future__ import annotations

import argparse
import importlib
import io
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "platform"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from benchmarks.processes import mark
from pipelines.data import ImageNet
from pipelines.data.counter import Draws
from pipelines.data.images import crops

SIZE = 224
BUFFER = 1024
"""Examples among which the loaders shuffle that need to be told."""


@dataclass(frozen=True)
class Crops(ImageNet):
    """ImageNet's crops by this many threads, without RandAugment."""

    workers: int = 1

    @property
    def threads(self) -> int:
        return self.workers


VIEW = Crops(augment=None)


def example(row: Any, index: int) -> Any:
    """The pixels and the label of a stored row."""
    return VIEW.decode(row, Draws.of(0, 0, index))


def example_by_pillow(row: Any, index: int) -> Any:
    """The same crop, by Pillow."""
    draws = Draws.of(0, 0, index)
    with Image.open(io.BytesIO(row["image"])) as stored:
        picture = stored.convert("RGB")
    picture = picture.crop(crops.inception(*picture.size, draws))
    if draws.integer(0, 1):
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.array(picture.resize((SIZE, SIZE), Image.Resampling.BICUBIC)), row["label"]


def shards(folder: Path) -> list[Path]:
    return sorted((folder / "shards" / "imagenet").glob("*.parquet"))


def row_groups(folder: Path) -> Iterator[list[dict[str, Any]]]:
    for shard in shards(folder):
        file = pq.ParquetFile(shard)
        for group in range(file.num_row_groups):
            yield file.read_row_group(group).to_pylist()


def decoders(options: argparse.Namespace) -> None:
    """One thread, the files in memory: libjpeg-turbo alone, our decoding, and the same by Pillow."""
    import simplejpeg

    ways: dict[str, Callable[[Any, int], Any]] = {
        "libjpeg-turbo": lambda row, index: simplejpeg.decode_jpeg(row["image"]),
        "ours": example,
        "Pillow": example_by_pillow,
    }
    rows = [row for group in row_groups(options.folder) for row in group]
    for way in ways.values():
        way(rows[0], 0)
    mark("ready")
    for name, way in ways.items():
        for index, row in enumerate(rows):
            way(row, index)
        mark(name, len(rows))


def reading(options: argparse.Namespace) -> None:
    """The shards without decoding, every cache line touched: as plain files, in stored order, shuffled."""

    @dataclass(frozen=True)
    class Bytes(Crops):
        def empty(self, size: int) -> torch.Tensor:
            return torch.empty(size, dtype=torch.int64)

        def decode_into(self, row: Any, draws: Draws | None, slot: torch.Tensor) -> int:
            touch(row["image"])
            slot.fill_(len(row["image"]))
            return 0

    def touch(data: Any) -> None:
        np.frombuffer(data, np.uint8)[::64].sum()

    def plain() -> int:
        total = 0
        for shard in shards(options.folder):
            with shard.open("rb", buffering=0) as file:
                while data := file.read(1 << 20):
                    touch(data)
                    total += len(data)
        return total

    stream = Bytes().open(str(options.folder / "shards"))

    def in_order() -> int:
        return int(sum(batch.inputs.sum() for batch in stream.scan("train", batch_size=options.batch)))

    def shuffled() -> int:
        batches = stream.batches("train", batch_size=options.batch, seed=0, epoch=0)
        return int(sum(batch.inputs.sum() for batch in batches))

    mark("ready")
    for name, way in {"plain": plain, "in order": in_order, "shuffled": shuffled}.items():
        way()
        mark("warm")
        mark(name, sum(way() for _ in range(options.passes)))


Epoch = Callable[[int], Iterator[int]]
"""The sizes of the batches of an epoch, as they are loaded."""


def ours(options: argparse.Namespace) -> Epoch:
    view = Crops(augment=None, workers=options.workers)

    def epoch(number: int) -> Iterator[int]:
        stream = view.open(str(options.folder / "shards"))
        for batch in stream.batches("train", batch_size=options.batch, seed=0, epoch=number):
            yield len(batch.ids)

    return epoch


class RowGroups(IterableDataset[Any]):
    """The row groups of the shards, in random order and parted among the workers; rows in random order."""

    def __init__(self, folder: Path, decode: Callable[[Any, int], Any]) -> None:
        self.folder, self.decode = folder, decode

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        files = [pq.ParquetFile(shard) for shard in shards(self.folder)]
        places = [(file, group) for file in files for group in range(file.num_row_groups)]
        random.Random(0).shuffle(places)
        for file, group in places[worker.id :: worker.num_workers]:
            rows = file.read_row_group(group).to_pylist()
            random.Random(group).shuffle(rows)
            for index, row in enumerate(rows):
                yield tensors(self.decode(row, index))


class Files(Dataset[Any]):
    """The images as files of their own, as in torchvision's ImageFolder."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted((folder / "files").iterdir())

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Any:
        return tensors(example({"key": "", "label": 0, "image": self.files[index].read_bytes()}, index))


def tensors(found: tuple[Any, int]) -> tuple[torch.Tensor, int]:
    """An example as torch's own collation takes it."""
    return torch.from_numpy(found[0]), found[1]


def by_torch(options: argparse.Namespace, dataset: Any, **more: Any) -> Epoch:
    loader = DataLoader(
        dataset,
        batch_size=options.batch,
        num_workers=options.workers,
        persistent_workers=True,
        **more,
    )
    return lambda _: (len(images) for images, _ in loader)


def torch_shards(options: argparse.Namespace) -> Epoch:
    return by_torch(options, RowGroups(options.folder, example))


def torch_shards_by_pillow(options: argparse.Namespace) -> Epoch:
    return by_torch(options, RowGroups(options.folder, example_by_pillow))


def torch_files(options: argparse.Namespace) -> Epoch:
    return by_torch(options, Files(options.folder), shuffle=True)


def ray_data(options: argparse.Namespace) -> Epoch:
    import logging

    import ray

    ray.init(
        address="local",
        num_cpus=options.workers,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _temp_dir=str(options.folder / "ray"),
    )
    ray.data.DataContext.get_current().enable_progress_bars = False

    def decoded(rows: dict[str, Any]) -> dict[str, Any]:
        stored = zip(rows["key"], rows["label"], rows["image"], strict=True)
        found = [
            example({"key": key, "label": label, "image": image}, index)
            for index, (key, label, image) in enumerate(stored)
        ]
        images, labels = zip(*found, strict=True)
        return {"image": np.stack(images), "label": np.array(labels)}

    data = ray.data.read_parquet([str(shard) for shard in shards(options.folder)], shuffle="files")
    data = data.map_batches(decoded, batch_size=64)
    return lambda _: (len(batch["image"]) for batch in data.iter_torch_batches(batch_size=options.batch))


def webdataset(options: argparse.Namespace) -> Epoch:
    import webdataset as wds

    def decoded(row: Any) -> Any:
        return example({"key": row["__key__"], "label": int(row["cls"]), "image": row["jpg"]}, 0)

    tars = [str(tar) for tar in sorted((options.folder / "tars").glob("*.tar"))]
    data = wds.WebDataset(tars, shardshuffle=len(tars)).shuffle(BUFFER).map(decoded)
    data = data.batched(options.batch, collation_fn=VIEW.collate)
    loader = wds.WebLoader(data, batch_size=None, num_workers=options.workers, persistent_workers=True)
    return lambda _: (len(images) for images, _ in loader)


def mosaic(options: argparse.Namespace) -> Epoch:
    from streaming import StreamingDataset

    class Decoded(StreamingDataset):  # type: ignore[misc]
        def __getitem__(self, at: Any) -> Any:
            return tensors(example({"key": "", **super().__getitem__(at)}, 0))

    data = Decoded(local=str(options.folder / "mds"), shuffle=True, batch_size=options.batch)
    return by_torch(options, data)


LOADERS: dict[str, tuple[Callable[[argparse.Namespace], Epoch], int, str]] = {
    "ours, 1 thread": (ours, 1, "torch"),
    "ours, 2 threads": (ours, 2, "torch"),
    "torch DataLoader over the shards, 1 worker": (torch_shards, 1, "torch"),
    "torch DataLoader over the shards, 2 workers": (torch_shards, 2, "torch"),
    "torch DataLoader over the shards, Pillow, 2 workers": (torch_shards_by_pillow, 2, "torch"),
    "torch DataLoader over files, 2 workers": (torch_files, 2, "torch"),
    "Ray Data, 2 CPUs": (ray_data, 2, "ray.data"),
    "webdataset, 2 workers": (webdataset, 2, "webdataset"),
    "mosaicml-streaming, 2 workers": (mosaic, 2, "streaming"),
}
"""What each is measured as: its epochs, its workers, and the module it needs."""


def missing(module: str) -> str | None:
    """Why a module cannot be imported."""
    try:
        importlib.import_module(module)
    except Exception as reason:
        return f"{type(reason).__name__}: {reason}".splitlines()[0]
    return None


def load(options: argparse.Namespace) -> None:
    """Some epochs of a loader. Where an epoch ends nothing is being loaded, so that what is marked there is
    what it took.
    """
    make, options.workers, _ = LOADERS[options.name]
    epoch = make(options)
    mark("ready")
    sizes = epoch(0)
    mark("first batch", next(sizes))
    mark("rest of the first epoch", sum(sizes))
    for number in range(1, options.epochs):
        mark("epoch", sum(epoch(number)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=["decoders", "reading", *LOADERS])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--peers", type=Path)
    options = parser.parse_args()
    sys.path += [str(options.peers)] if options.peers else []
    torch.set_num_threads(1)
    {"decoders": decoders, "reading": reading}.get(options.name, load)(options)


if __name__ == "__main__":
    main()

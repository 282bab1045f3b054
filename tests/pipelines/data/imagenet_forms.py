"""ImageNet in exactly the forms people hold it in, with the 1,000 classes and two tiny images of each."""

import csv
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from scipy.io import savemat

from pipelines.data.imagenet.classes import wnids

WNIDS = wnids()
# The devkit numbers classes in its own way, and lists their parents behind them.
NUMBER = {wnid: (index * 377) % 1000 + 1 for index, wnid in enumerate(WNIDS)}
VALIDATED = [WNIDS[(31 * place) % 1000] for place in range(40)]

Images = Mapping[tuple[str, str], bytes]
"""(class, file name) -> JPEG"""


def encoded(label: int, copy: int, kind: str = "JPEG", mode: str = "RGB", **options: object) -> bytes:
    """A plain image whose colour tells its label and its copy."""
    picture = Image.new("RGB", (12, 10), (label % 32 * 8, label // 32 * 8, copy * 80)).convert(mode)
    stream = io.BytesIO()
    picture.save(stream, kind, **({"quality": 95} | options))
    return stream.getvalue()


def colour(pixels: np.ndarray) -> tuple[int, int]:
    """(label, copy) of an image, read from its colour."""
    red, green, blue = pixels.reshape(-1, 3).mean(axis=0)
    return round(red / 8) + 32 * round(green / 8), round(blue / 80)


def training() -> dict[tuple[str, str], bytes]:
    """Two images of each class; one is a PNG in disguise and one is CMYK, as in the real set."""
    images = {(w, f"{w}_{c}.JPEG"): encoded(i, c) for i, w in enumerate(WNIDS) for c in range(2)}
    images[WNIDS[5], f"{WNIDS[5]}_0.JPEG"] = encoded(5, 0, "PNG")
    images[WNIDS[6], f"{WNIDS[6]}_0.JPEG"] = encoded(6, 0, mode="CMYK")
    return images


def validation() -> dict[tuple[str, str], bytes]:
    return {
        (wnid, f"ILSVRC2012_val_{place:08d}.JPEG"): encoded(WNIDS.index(wnid), 3)
        for place, wnid in enumerate(VALIDATED, start=1)
    }


def tar(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def devkit_files() -> dict[str, bytes]:
    """The devkit with the fields of its meta.mat."""
    fields = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    leaves = sorted((number, wnid, "a thing", 0) for wnid, number in NUMBER.items())
    parents = [(1001, "n00000001", "every thing", 1000)]
    meta = io.BytesIO()
    savemat(meta, {"synsets": np.array(leaves + parents, dtype=fields).reshape(-1, 1)})
    truth = "".join(f"{NUMBER[wnid]}\n" for wnid in VALIDATED)
    folder = "ILSVRC2012_devkit_t12/data"
    return {
        f"{folder}/ILSVRC2012_validation_ground_truth.txt": truth.encode(),
        f"{folder}/meta.mat": meta.getvalue(),
    }


def write_tars(folder: Path, train: Images, official: Images) -> Path:
    classes: dict[str, dict[str, bytes]] = {}
    for (wnid, name), data in train.items():
        classes.setdefault(wnid, {})[name] = data
    folder.mkdir(parents=True, exist_ok=True)
    inner = {f"{wnid}.tar": tar(images) for wnid, images in classes.items()}
    (folder / "ILSVRC2012_img_train.tar").write_bytes(tar(inner))
    flat = {name: data for (_, name), data in reversed(official.items())}
    (folder / "ILSVRC2012_img_val.tar").write_bytes(tar(flat))
    (folder / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(gzip.compress(tar(devkit_files())))
    return folder


def by_class(folder: Path, images: Images | Path) -> None:
    """Folders by class; or links to those that are there, for a file takes a millisecond to be made."""
    folder.mkdir(parents=True)
    if isinstance(images, Path):
        for each in images.iterdir():
            (folder / each.name).symlink_to(each)
        return
    for wnid in {wnid for wnid, _ in images}:
        (folder / wnid).mkdir()
    for (wnid, name), data in images.items():
        (folder / wnid / name).write_bytes(data)


def _flat(folder: Path, images: Images) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for (_, name), data in images.items():
        (folder / name).write_bytes(data)


def write_folders(folder: Path, train: Images | Path, official: Images) -> Path:
    by_class(folder / "train", train)
    by_class(folder / "val", official)
    return folder


def write_flat_validation(folder: Path, train: Images | Path, official: Images) -> Path:
    """The devkit unpacked beside train/ and a flat val/."""
    by_class(folder / "train", train)
    _flat(folder / "val", official)
    for name, data in devkit_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def write_kaggle(folder: Path, train: Images | Path, official: Images) -> Path:
    """Kaggle's `imagenet-object-localization-challenge`, unpacked."""
    place = folder / "ILSVRC" / "Data" / "CLS-LOC"
    by_class(place / "train", train)
    _flat(place / "val", official)
    _flat(place / "test", {("", "ILSVRC2012_test_00000001.JPEG"): encoded(0, 0)})
    with (folder / "LOC_val_solution.csv").open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["ImageId", "PredictionString"])
        for wnid, name in reversed(official):
            rows.writerow([name.removesuffix(".JPEG"), f"{wnid} 111 108 441 193 {wnid} 1 2 3 4 "])
    return folder


def write_parquet(
    folder: Path, train: Images, official: Images, *, files: int = 3, paths: bool = True
) -> Path:
    """`ILSVRC/imagenet-1k`: labels are places among the sorted ids, paths end in the class."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("image", kind), ("label", pa.int64())])
    (folder / "data").mkdir(parents=True, exist_ok=True)
    hidden = {("", "ILSVRC2012_test_00000001.JPEG"): encoded(0, 0)}
    for split, images in (("train", train), ("validation", official), ("test", hidden)):
        rows = [
            {
                "image": {
                    "bytes": data,
                    "path": (f"{Path(name).stem}_{w}.JPEG" if w else name) if paths else None,
                },
                "label": WNIDS.index(w) if w else -1,
            }
            for (w, name), data in sorted(images.items(), key=lambda item: hashlib.sha256(item[1]).digest())
        ]
        for index in range(files):
            table = pa.Table.from_pylist(rows[index::files], schema=schema)
            pq.write_table(
                table, folder / "data" / f"{split}-{index:05d}-of-{files:05d}.parquet", row_group_size=100
            )
    return folder


def write_webdataset(
    folder: Path, train: Images, official: Images, *, files: int = 3, official_names: bool = True
) -> Path:
    """`timm/imagenet-1k-wds`: a number as name, `.jpg`, `.cls` and the official name in `.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, images in (("train", train), ("validation", official)):
        shards: list[dict[str, bytes]] = [{} for _ in range(files)]
        for place, ((wnid, name), data) in enumerate(images.items()):
            label, shard = WNIDS.index(wnid), shards[place % files]
            shard[f"./{place:09d}.jpg"] = data
            shard[f"./{place:09d}.cls"] = str(label).encode()
            if official_names:
                shard[f"./{place:09d}.json"] = json.dumps({"filename": name, "label": label}).encode()
        for index, shard in enumerate(shards):
            (folder / f"imagenet1k-{split}-{index:04d}.tar").write_bytes(tar(shard))
    return folder

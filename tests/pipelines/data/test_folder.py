"""A user's own images: declared in one line, prepared to the same shards, read through the same view."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from lab import ExperimentSpec, codec
from lab.cli import main
from lab.errors import DataError, MissingDataset, SpecError
from lab.spec import Dataset
from pipelines.data import ImageFolder, Table
from pipelines.data.folder.declared import Declared
from sweeps.experiments import imagenet

COLOURS = {"daisy": (200, 30, 30), "rose": (30, 200, 30), "tulip": (30, 30, 200)}
NAMES = sorted(COLOURS)


def encoded(name: str, number: int, kind: str = "JPEG") -> bytes:
    picture = Image.new("RGB", (20, 16), tuple(c + number for c in COLOURS[name]))
    stream = io.BytesIO()
    picture.save(stream, kind)
    return stream.getvalue()


def grow(folder: Path, each: int = 10) -> Path:
    """Photographs in a folder for each flower, one of them a PNG and some a folder deeper."""
    for name in NAMES:
        (folder / name / "garden").mkdir(parents=True)
        for number in range(each):
            place = folder / name / ("garden" if number % 4 == 3 else ".")
            kind = "PNG" if (name, number) == ("rose", 0) else "JPEG"
            (place / f"{number}.{kind.lower()}").write_bytes(encoded(name, number, kind))
    (folder / ".thumbnails").mkdir()
    (folder / "daisy" / ".DS_Store").write_bytes(b"\x00")
    return folder


def flowers(**options: Any) -> ImageFolder:
    return ImageFolder(**({"name": "flowers", "num_classes": 3, "resolution": 8, "augment": None} | options))


def labels_and_colours(data: Declared, root: Path) -> dict[str, list[int]]:
    """split -> sorted labels, after checking that every label is that of the image's colour."""
    found = {}
    for split in data.open(str(root)).manifest.splits:
        found[split.name] = []
        for batch in data.open(str(root)).scan(split.name, batch_size=7):
            for inputs, label, weight in zip(batch.inputs, batch.targets, batch.weights, strict=True):
                if weight:
                    assert int(inputs.float().mean(dim=(0, 1)).argmax()) == label
                    found[split.name].append(int(label))
        found[split.name].sort()
    return found


def test_folders_by_class_become_splits_of_every_class(tmp_path: Path) -> None:
    data, source = flowers(validation=0.2, test=0.1), grow(tmp_path / "photos")
    prepared = data.prepare(str(tmp_path), str(source))
    assert prepared.manifest.labels == ("daisy", "rose", "tulip")
    assert labels_and_colours(data, tmp_path) == {
        "train": [0] * 7 + [1] * 7 + [2] * 7,
        "validation": [0, 0, 1, 1, 2, 2],
        "test": [0, 1, 2],
    }
    assert prepared.manifest.remarks == {"PNG RGB": 1}
    assert data.prepare(str(tmp_path), str(source)).already


def test_splits_go_by_names_and_not_by_contents(tmp_path: Path) -> None:
    """A photograph that is edited stays where it was."""
    source = grow(tmp_path / "photos")
    before = flowers().prepare(str(tmp_path / "a"), str(source)).manifest
    (source / "rose" / "1.jpeg").write_bytes(encoded("rose", 50) + bytes(10))
    after = flowers().prepare(str(tmp_path / "b"), str(source)).manifest
    assert before.fingerprint != after.fingerprint
    for split in ("train", "validation", "test"):
        assert keys(tmp_path / "a" / "flowers", split) == keys(tmp_path / "b" / "flowers", split) != []


def keys(folder: Path, split: str) -> list[str]:
    stored = (pq.read_table(file)["key"].to_pylist() for file in sorted(folder.glob(f"{split}-*.parquet")))
    return [key for file in stored for key in file]


def test_splits_of_ones_own_are_kept_and_what_is_missing_is_held_out(tmp_path: Path) -> None:
    grow(tmp_path / "photos" / "train")
    grow(tmp_path / "photos" / "test", each=4)
    data = flowers(validation=0.3)
    data.prepare(str(tmp_path), str(tmp_path / "photos"))
    found = labels_and_colours(data, tmp_path)
    assert {split: len(labels) for split, labels in found.items()} == {
        "train": 21,
        "test": 12,
        "validation": 9,
    }


def test_another_declaration_is_another_preparation(tmp_path: Path) -> None:
    source = grow(tmp_path / "photos")
    flowers().prepare(str(tmp_path), str(source))
    assert flowers(resolution=32, flip=False).open(str(tmp_path)).size("train") == 24
    with pytest.raises(MissingDataset, match="run: lab data prepare flowers"):
        flowers(test=0.3).open(str(tmp_path))
    assert not flowers(test=0.3).prepare(str(tmp_path), str(source)).already
    assert flowers(test=0.3).open(str(tmp_path)).size("test") == 9


def test_a_declaration_is_a_data_set_with_a_digest_and_survives_json(tmp_path: Path) -> None:
    spec = imagenet.fourier().override(
        {"data": flowers(), "model.inputs.height": 8, "model.inputs.width": 8, "model.num_classes": 3}
    )
    assert isinstance(spec.data, Dataset)
    assert ExperimentSpec.from_json(spec.to_json()) == spec
    assert spec.override({"data.validation": 0.2}).digest != spec.digest
    table = Table(name="beans", num_classes=3, splits={"train": "a/*.parquet"})
    assert codec.decode(Any, json.loads(codec.canonical(table))) == table


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "My flowers"}, "ImageFolder.name is a name like 'flowers'"),
        ({"num_classes": 1}, "ImageFolder.num_classes must be 2 or more, got 1"),
        ({"validation": 0.5, "test": 0.5}, "together less than 1, got 0.5 and 0.5"),
        ({"resolution": 0}, "ImageFolder.resolution is in pixels"),
    ],
)
def test_what_cannot_be_declared_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        flowers(**options)
    with pytest.raises(SpecError, match=r"Table.splits gives train, validation, test a pattern"):
        Table(name="t", num_classes=2, splits={"tran": "*.parquet"})


def test_wrong_folders_are_refused_by_name(tmp_path: Path) -> None:
    source = grow(tmp_path / "photos")

    def refusal(data: Declared) -> str:
        with pytest.raises(DataError) as caught:
            data.prepare(str(tmp_path / "data"), str(source))
        return str(caught.value)

    assert "has 3 classes (daisy, rose, tulip), and flowers is declared with num_classes=4" in refusal(
        flowers(num_classes=4)
    )
    (source / "tulips").mkdir()
    assert "tulips is a class without images" in refusal(flowers(num_classes=4))
    assert "Did you mean 'tulip'?" in refusal(flowers(num_classes=4))
    (source / "tulips").rmdir()
    (source / "rose" / "notes.txt").write_text("water daily")
    says = refusal(flowers())
    assert "1 of the 31 examples of flowers cannot be read: image rose/notes.txt is no image" in says
    (source / "train").mkdir()
    assert "has a folder of a split (train) beside daisy" in refusal(flowers())
    with pytest.raises(DataError, match="lab data prepare flowers --source FOLDER"):
        flowers().prepare(str(tmp_path))
    with pytest.raises(DataError, match="is no folder"):
        flowers().prepare(str(tmp_path), str(tmp_path / "nowhere"))


# Tables

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def hugging_face(folder: Path, *, parts: int = 2, label: Any = NAMES.index) -> Path:
    """What `dataset.to_parquet` writes: images in a struct, class names in metadata."""
    folder.mkdir(parents=True)
    features = {"image": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pa.schema(
        [("image", STRUCT), ("label", pa.int64() if label == NAMES.index else pa.string())], metadata=about
    )
    for split, each in (("train", 9), ("validation", 2)):
        rows = [
            {"image": {"bytes": encoded(name, number), "path": f"{name}.jpg"}, "label": label(name)}
            for name in NAMES
            for number in range(each)
        ]
        for part in range(parts):
            table = pa.Table.from_pylist(rows[part::parts], schema=schema)
            pq.write_table(table, folder / f"{split}-{part:05d}-of-{parts:05d}.parquet", row_group_size=3)
    return folder


def beans(**options: Any) -> Table:
    return Table(**({"name": "beans", "num_classes": 3, "resolution": 8, "augment": None} | options))


@pytest.mark.parametrize("label", [NAMES.index, str], ids=["numbers", "names"])
def test_a_hugging_face_table_keeps_its_splits_and_class_names(tmp_path: Path, label: Any) -> None:
    source = hugging_face(tmp_path / "source" / "data", label=label).parent
    data = beans(test=0.2)
    manifest = data.prepare(str(tmp_path), str(source)).manifest
    assert manifest.labels == ("daisy", "rose", "tulip")
    found = labels_and_colours(data, tmp_path)
    assert found["validation"] == [0, 0, 1, 1, 2, 2]
    assert [len(found[split]) for split in ("train", "test")] == [24, 3]
    assert not (tmp_path / ".unpacked" / "beans").exists()


def test_arrow_files_as_datasets_caches_them_are_read_in_place(tmp_path: Path) -> None:
    parquet = hugging_face(tmp_path / "parquet", parts=1)
    source = tmp_path / "cache"
    source.mkdir()
    for file in parquet.iterdir():
        table = pq.read_table(file)
        with pa.ipc.new_stream(str(source / f"beans-{file.stem}.arrow"), table.schema) as writer:
            writer.write_table(table)
    first = beans().prepare(str(tmp_path / "a"), str(parquet)).manifest
    second = beans().prepare(str(tmp_path / "b"), str(source)).manifest
    assert [split.rows for split in first.splits] == [split.rows for split in second.splits]
    assert labels_and_colours(beans(), tmp_path / "a") == labels_and_colours(beans(), tmp_path / "b")


def test_columns_keys_and_files_can_be_named(tmp_path: Path) -> None:
    """A plain table: bytes in one column, names of classes in another, any file names."""
    (tmp_path / "source").mkdir()
    rows = [{"id": f"{n}-{i}", "jpg": encoded(n, i), "kind": n} for n in NAMES for i in range(5)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "source" / "everything.parquet")
    data = beans(image="jpg", label="kind", key="id", splits={"train": "every*.parquet"})
    data.prepare(str(tmp_path), str(tmp_path / "source"))
    found = labels_and_colours(data, tmp_path)
    assert {split: len(labels) for split, labels in found.items()} == {
        "train": 9,
        "validation": 3,
        "test": 3,
    }
    assert set(keys(tmp_path / "beans", "train")) < {row["id"] for row in rows}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"label": "lable"}, "has no column 'lable'; it has image.bytes, image.path, label"),
        ({"num_classes": 2}, r"row \d has the label 2 in column 'label'; with num_classes=2"),
        (
            {"num_classes": 4},
            r"has 3 classes \(daisy, rose, tulip\), and beans is declared with num_classes=4",
        ),
        (
            {"splits": {"train": "nothing-*"}},
            "no Parquet or Arrow files like 'nothing-.' for the split 'train'",
        ),
        ({"splits": {"test": "train-*"}}, "for the split 'train'"),
    ],
)
def test_wrong_tables_are_refused_by_name(tmp_path: Path, options: dict[str, Any], says: str) -> None:
    hugging_face(tmp_path / "source")
    with pytest.raises(DataError, match=says):
        beans(**options).prepare(str(tmp_path), str(tmp_path / "source"))


def test_a_table_with_a_file_missing_is_refused(tmp_path: Path) -> None:
    source = hugging_face(tmp_path / "source", parts=3)
    (source / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(DataError, match="train-00001-of-00003 is missing, with 1 of 3 files in all"):
        beans().prepare(str(tmp_path), str(source))


# From the command line

DECLARATION = '''"""Flowers of mine."""

from pipelines.data import ImageFolder


def dataset() -> ImageFolder:
    """Three kinds."""
    return ImageFolder(name="flowers", num_classes=3, resolution=8)
'''


Lab = Callable[..., str]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lab:
    """`lab` in a folder of its own, and all that it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAB_DATA", raising=False)
    monkeypatch.delenv("LAB_HOME", raising=False)

    def run(*words: str) -> str:
        main(words)
        printed = capsys.readouterr()
        return printed.out + printed.err

    return run


def test_a_package_of_ones_own_is_listed_and_prepared_by_name(
    tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the entry point group `lab.datasets`; its distribution sorts before ours."""
    site, about = tmp_path / "site", tmp_path / "site" / "aardvark-1.0.dist-info"
    (site / "aardvark").mkdir(parents=True)
    about.mkdir()
    (site / "aardvark" / "__init__.py").touch()
    (site / "aardvark" / "flowers.py").write_text(DECLARATION)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: aardvark\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[lab.datasets]\naardvark = aardvark\n")
    monkeypatch.syspath_prepend(str(site))
    grow(tmp_path / "photos")
    prepared = lab("data", "prepare", "flowers", "--source", "photos")
    assert "flowers: prepared under" in prepared
    assert "train 24, validation 3, test 3" in prepared
    listed = lab("data", "list")
    assert re.search(r"^  flowers +prepared +30 examples .* Flowers of mine\.$", listed, re.MULTILINE)
    assert re.search(r"^  digits +not prepared ", listed, re.MULTILINE)


def test_a_file_of_ones_own_is_prepared_verified_and_shown_by_path(tmp_path: Path, lab: Lab) -> None:
    (tmp_path / "flowers.py").write_text(DECLARATION)
    grow(tmp_path / "photos")
    assert "flowers: prepared under" in lab("data", "prepare", "./flowers.py", "--source", "photos")
    assert re.search(r"^  train +24 +3 of 3 +8$", lab("data", "show", "./flowers.py"), re.MULTILINE)
    assert (tmp_path / ".lab" / "data" / "flowers.png").stat().st_size > 500
    assert "already prepared and verified" in lab("data", "verify", "./flowers.py")


def test_names_and_files_nobody_knows_are_answered_in_one_line(tmp_path: Path, lab: Lab) -> None:
    assert "One in a file of your own is given by path" in lab("data", "show", "flowers")
    (tmp_path / "empty.py").write_text("")
    assert "empty.py has no function `dataset()`" in lab("data", "show", "./empty.py")


def test_training_batches_come_from_the_same_stream(tmp_path: Path) -> None:
    data = flowers(resolution=16)
    data.prepare(str(tmp_path), str(grow(tmp_path / "photos")))
    options: dict[str, Any] = {"batch_size": 8, "seed": 1, "epoch": 0}
    batches = list(data.open(str(tmp_path)).batches("train", **options))
    assert len(batches) == 3
    assert sorted(torch.cat([batch.ids for batch in batches]).tolist()) == list(range(24))
    assert batches[0].inputs.shape == (8, 16, 16, 3)
    (resumed,) = data.open(str(tmp_path)).batches("train", start=2, **options)
    assert np.array_equal(resumed.inputs, batches[2].inputs)

"""ModelNet40 in exactly the forms people hold it in: small boxes whose proportions tell their class."""

import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from lab.errors import DataError, MissingDataset, SpecError
from lab.spec import Dataset
from perceiver import Fourier, Image, Perceiver, PerceiverConfig, Points, variants
from perceiver.baselines import ResNet, Transformer, ViT
from pipelines.data import ModelNet40, contact_sheet, counter, describe, modelnet40
from pipelines.data.counter import Draws
from pipelines.data.modelnet40 import classes, shapes

# As in modelnet40_normal_resampled/modelnet40_shape_names.txt.
NAMES = """
airplane bathtub bed bench bookshelf bottle bowl car chair cone cup curtain desk door dresser flower_pot
glass_box guitar keyboard lamp laptop mantel monitor night_stand person piano plant radio range_hood sink sofa
stairs stool table tent toilet tv_stand vase wardrobe xbox
""".split()  # noqa: SIM905
TRAIN, TEST = 4, 2


def height(name: str) -> float:
    """Of the boxes of a class, whose other sides are 1 and 4: from 1.05 to 3."""
    return 1 + (NAMES.index(name) + 1) / 20


def named(cloud: np.ndarray) -> str:
    """The class that a stored or a normalised cloud is of, from its proportions."""
    sides = np.sort(np.ptp(cloud, axis=0).astype(np.float64))
    return NAMES[round((sides[1] / sides[2] * 4 - 1) * 20) - 1]


def box(name: str, number: int) -> bytes:
    """A box as an OFF file, each with a defect of ModelNet40's or of other writers."""
    corners = [f"{x} {y} {z}" for x in (9, 10) for y in (0, 4) for z in (0, height(name))]
    quads = ["0 1 3 2", "4 6 7 5", "0 4 5 1", "2 3 7 6", "0 2 6 4", "1 5 7 3"]
    faces = [f"4 {quad}" for quad in quads]
    if number % 2:
        split = [quad.split() for quad in quads]
        faces = [f"3 {a} {b} {c}\n3 {a} {c} {d}" for a, b, c, d in split] + ["3 0 0 1", "3 2 2 2"]
    count = sum(face.count("\n") + 1 for face in faces)
    header = ("OFF\n", "OFF", "OFF ")[number % 3]
    text = "\n".join([f"{header}8 {count} 0", *corners, *faces, ""])
    return text.replace("\n", "\r\n").encode() if number % 5 == 0 else text.encode()


def cloud(name: str, number: int, points: int) -> np.ndarray:
    """Points in the box of a class, two of them at its ends."""
    inside = np.random.default_rng([NAMES.index(name), number]).uniform(size=(points, 3))
    inside[:2] = [[0, 0, 0], [1, 1, 1]]
    return (inside * [1, 4, height(name)] - 1).astype(np.float32)


def listed(split: str) -> list[tuple[str, int]]:
    numbers = range(1, TRAIN + 1) if split == "train" else range(TRAIN + 1, TRAIN + TEST + 1)
    return [(name, number) for name in NAMES for number in numbers]


def meshes() -> dict[str, bytes]:
    files = {
        f"ModelNet40/{name}/{split}/{name}_{number:04d}.off": box(name, number)
        for split in ("train", "test")
        for name, number in listed(split)
    }
    return files | {"ModelNet40/.DS_Store": b"\0", "__MACOSX/ModelNet40/bed/train/._bed_0001.off": b"\0"}


def resampled(points: int = 200) -> dict[str, bytes]:
    top = "modelnet40_normal_resampled"
    files = {f"{top}/modelnet40_shape_names.txt": "\n".join(NAMES).encode()}
    for split in ("train", "test"):
        lines = [f"{name}_{number:04d}" for name, number in listed(split)]
        files[f"{top}/modelnet40_{split}.txt"] = ("\n".join(lines) + "\n").encode()
        for name, number in listed(split):
            rows = [f"{x:.6f},{y:.6f},{z:.6f},0.0,0.6,-0.8" for x, y, z in cloud(name, number, points)]
            files[f"{top}/{name}/{name}_{number:04d}.txt"] = ("\n".join(rows) + "\n").encode()
    return files


def hdf5(stacks: int = 2) -> dict[str, bytes]:
    top = "modelnet40_ply_hdf5_2048"
    files = {f"{top}/shape_names.txt": ("\n".join(NAMES) + "\n").encode()}
    for split in ("train", "test"):
        names = [f"ply_data_{split}{stack}.h5" for stack in range(stacks)]
        files[f"{top}/{split}_files.txt"] = "".join(f"data/{top}/{name}\n" for name in names).encode()
        for stack, name in enumerate(names):
            files[f"{top}/{name}"] = stacked(listed(split)[stack::stacks])
    return files


def stacked(members: list[tuple[str, int]]) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        clouds = np.stack([cloud(*member, 2048) for member in members])
        file.create_dataset("data", data=clouds, compression="gzip", compression_opts=4)
        file.create_dataset("normal", data=np.zeros_like(clouds), compression="gzip", compression_opts=4)
        labels = np.array([[NAMES.index(name)] for name, _ in members], np.uint8)
        file.create_dataset("label", data=labels, compression="gzip", compression_opts=1)
    return stream.getvalue()


FORMS = {
    "ModelNet40": meshes,
    "modelnet40_normal_resampled": resampled,
    "modelnet40_ply_hdf5_2048": hdf5,
}

STORED = {"ModelNet40": 8192, "modelnet40_normal_resampled": 200, "modelnet40_ply_hdf5_2048": 2048}


def zipped(files: dict[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def unpacked(files: dict[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Form -> the folder that holds its zip."""
    folders = {}
    for name, files in FORMS.items():
        folders[name] = tmp_path_factory.mktemp(name)
        zipped(files(), folders[name] / f"{name}.zip")
    return folders


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory, sources: dict[str, Path]) -> dict[str, str]:
    """Form -> where it was prepared."""
    prepared = {}
    for name, folder in sources.items():
        prepared[name] = str(tmp_path_factory.mktemp("prepared"))
        modelnet40.prepare(prepared[name], str(folder))
    return prepared


@pytest.fixture(scope="module")
def root(roots: dict[str, str]) -> str:
    return roots["ModelNet40"]


def everything(root: str, data: ModelNet40, split: str) -> tuple[np.ndarray, list[int]]:
    """Clouds and labels of a split as evaluation sees them."""
    stream = data.open(root)
    batch = stream.examples(split, np.arange(stream.size(split)))
    assert isinstance(batch.inputs, torch.Tensor)
    return batch.inputs.numpy(), batch.targets.tolist()


@pytest.mark.parametrize("form", FORMS)
def test_every_shape_keeps_its_class_and_its_split(roots: dict[str, str], form: str) -> None:
    found: dict[str, list[str]] = {}
    for split in ("train", "validation", "test"):
        clouds, labels = everything(roots[form], ModelNet40(points=STORED[form]), split)
        found[split] = [NAMES[label] for label in labels]
        assert [named(cloud) for cloud in clouds] == found[split]
    assert sorted(found["train"]) == sorted(NAMES * (TRAIN - 1))
    assert sorted(found["validation"]) == NAMES
    assert sorted(found["test"]) == sorted(NAMES * TEST)


def test_the_points_of_a_mesh_lie_on_it(root: str) -> None:
    clouds, _ = everything(root, ModelNet40(points=8192), "test")
    for cloud in clouds.astype(np.float64):
        low, high = cloud.min(axis=0), cloud.max(axis=0)
        assert np.minimum(np.abs(cloud - low), np.abs(cloud - high)).min(axis=1).max() < 1e-5


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_gives_the_shards_of_its_zip(form: str, roots: dict[str, str], tmp_path: Path) -> None:
    folder = unpacked(FORMS[form](), tmp_path / "source")
    for source in (folder, folder / form):
        prepared = modelnet40.prepare(str(tmp_path / source.name), str(source))
        assert prepared.manifest.fingerprint == ModelNet40().open(roots[form]).fingerprint


def test_all_stored_points_of_text_and_hdf5_are_those_of_the_source(roots: dict[str, str]) -> None:
    for form, points in (("modelnet40_normal_resampled", 200), ("modelnet40_ply_hdf5_2048", 2048)):
        clouds, labels = everything(roots[form], ModelNet40(points=points), "test")
        expected = {}
        for name, number in listed("test"):
            whole = cloud(name, number, points).astype(np.float64)
            whole -= whole.mean(axis=0)
            expected[name, number] = whole / np.abs(whole).max()
        for found, label in zip(clouds, labels, strict=True):
            name = NAMES[label]
            assert any(
                np.allclose(np.sort(found, axis=0), np.sort(expected[name, number], axis=0), atol=2e-6)
                for number in range(TRAIN + 1, TRAIN + TEST + 1)
            )


def test_the_labels_are_the_40_names_in_order() -> None:
    assert list(classes.CLASSES) == sorted(NAMES)
    assert len(NAMES) == 40


def test_text_and_meshes_hold_out_the_same_shapes(roots: dict[str, str]) -> None:
    keys = []
    for form in ("ModelNet40", "modelnet40_normal_resampled"):
        folder = Path(roots[form], "modelnet40")
        (file,) = folder.glob("validation-*.parquet")
        keys.append(sorted(pq.read_table(file, columns=["key"]).column("key").to_pylist()))
    assert keys[0] == keys[1]


def test_counts_are_those_of_the_official_set_or_it_is_told(root: str) -> None:
    assert classes.COUNTS == {"train": 9843, "test": 2468}
    remarks = ModelNet40().open(root).manifest.remarks
    assert remarks["shapes from meshes"] == 40 * (TRAIN + TEST)
    assert remarks["train shapes fewer than the official 9,843"] == 9843 - 40 * TRAIN
    assert "2,388  test shapes fewer than the official 2,468" in str(describe(root, "modelnet40"))

    def full(train: int) -> dict[str, list[shapes.Shape]]:
        return {
            split: [shapes.Shape(str(n), NAMES[n % 40], 1, 1, np.empty) for n in range(count)]  # type: ignore[arg-type]
            for split, count in (("train", train), ("test", 2468))
        }

    assert classes.missing(full(9843)) == {}
    assert classes.missing(full(9840)) == {"train shapes fewer than the official 9,843": 3}


def test_a_part_of_the_classes_keeps_the_labels_of_the_whole(tmp_path: Path) -> None:
    some = {n: d for n, d in meshes().items() if "/night_stand/" in n or "/flower_pot/" in n}
    modelnet40.prepare(str(tmp_path), str(zipped(some, tmp_path / "some.zip")))
    stream = ModelNet40().open(str(tmp_path))
    assert sorted(set(stream.labels("train"))) == [NAMES.index("flower_pot"), NAMES.index("night_stand")]
    assert stream.manifest.remarks["of the 40 classes are not in the source"] == 38


def test_held_out_shapes_are_one_in_ten_of_each_class() -> None:
    members = [shapes.Shape(f"{n}_{i}", n, 1, 1, np.empty) for n in NAMES[:3] for i in range(25)]  # type: ignore[arg-type]
    members += [shapes.Shape("alone", "bed", 1, 1, np.empty)]  # type: ignore[arg-type]
    train, validation = shapes.hold_out(members[:-1])
    assert sorted(shape.name for shape in validation) == sorted(NAMES[:3] * 2)
    assert sorted(shape.key for shape in train + validation) == sorted(shape.key for shape in members[:-1])
    assert shapes.hold_out(members[-1:]) == (members[-1:], [])
    assert shapes.hold_out(members[::-1])[1][0].key in {shape.key for shape in validation}


def broken(files: dict[str, bytes], name: str, old: bytes, new: bytes) -> dict[str, bytes]:
    (inside,) = [each for each in files if each.endswith(f"/{name}")]
    assert old in files[inside]
    return files | {inside: files[inside].replace(old, new, 1)}


@pytest.mark.parametrize(
    ("form", "name", "old", "new", "message"),
    [
        (
            "ModelNet40",
            "bed_0002.off",
            b"4 0 1 3 2",
            b"4 0 1 3 8",
            "bed_0002.off, line 10: vertex 8 is not there",
        ),
        (
            "ModelNet40",
            "bed_0002.off",
            b"4 1 5 7 3\n",
            b"",
            "announces 8 vertices and 6 faces and has 13 lines",
        ),
        ("ModelNet40", "bed_0002.off", b"9 0 0", b"9 nan 0", "bed_0002.off, line 2: a vertex is 3 numbers"),
        (
            "modelnet40_normal_resampled",
            "night_stand_0002.txt",
            b",0.6",
            b"",
            "night_stand_0002.txt, line 1: a point is 6 numbers, this line has 5",
        ),
        (
            "modelnet40_normal_resampled",
            "modelnet40_test.txt",
            b"night_stand_0005",
            b"night_stand_0099",
            "modelnet40_test.txt, line 47: night_stand/night_stand_0099.txt is missing",
        ),
        (
            "modelnet40_normal_resampled",
            "modelnet40_test.txt",
            b"night_stand_0005",
            b"nightstand_0005",
            "modelnet40_test.txt, line 47: 'nightstand_0005' is of no class",
        ),
        (
            "modelnet40_ply_hdf5_2048",
            "train_files.txt",
            b"train1.h5",
            b"train7.h5",
            "ply_data_train7.h5 is missing beside train_files.txt",
        ),
        (
            "modelnet40_ply_hdf5_2048",
            "ply_data_test1.h5",
            b"HDF",
            b"HFD",
            "ply_data_test1.h5 is no HDF5 file with data and label",
        ),
    ],
)
def test_a_damaged_source_is_refused_with_the_file_and_the_line(
    form: str, name: str, old: bytes, new: bytes, message: str, tmp_path: Path
) -> None:
    source = zipped(broken(FORMS[form](), name, old, new), tmp_path / f"{form}.zip")
    with pytest.raises(DataError) as raised:
        modelnet40.prepare(str(tmp_path / "root"), str(source))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    with pytest.raises(MissingDataset):
        ModelNet40().open(str(tmp_path / "root"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (("label", 3, 40), "row 3: label 40 is no class, shape_names.txt has 40 of them"),
        (("data", 5, np.nan), "row 5: a coordinate is no number"),
    ],
)
def test_a_bad_row_of_an_hdf5_file_is_named(
    value: tuple[str, int, Any], message: str, tmp_path: Path
) -> None:
    folder = unpacked(hdf5(), tmp_path / "source")
    path = folder / "modelnet40_ply_hdf5_2048" / "ply_data_train1.h5"
    column, row, bad = value
    with h5py.File(path, "r+") as file:
        file[column][row] = bad
    with pytest.raises(DataError) as raised:
        modelnet40.prepare(str(tmp_path / "root"), str(folder))
    assert str(raised.value).startswith(f"{path}, {message}")


def test_a_label_without_its_cloud_is_refused(tmp_path: Path) -> None:
    folder = unpacked(hdf5(), tmp_path / "source")
    path = folder / "modelnet40_ply_hdf5_2048" / "ply_data_train0.h5"
    with h5py.File(path, "r+") as file:
        del file["label"]
        file["label"] = np.zeros((3, 1), np.uint8)
    with pytest.raises(DataError, match=r"train0\.h5 holds data \(80, 2048, 3\) and 3 labels"):
        modelnet40.prepare(str(tmp_path / "root"), str(folder))


def test_a_zip_that_is_cut_short_or_damaged_inside_is_named(sources: dict[str, Path], tmp_path: Path) -> None:
    whole = (sources["ModelNet40"] / "ModelNet40.zip").read_bytes()
    path = tmp_path / "ModelNet40.zip"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"ModelNet40\.zip is no readable zip .*copy it again"):
        modelnet40.prepare(str(tmp_path / "root"), str(tmp_path))
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        member = archive.getinfo("ModelNet40/sofa/train/sofa_0003.off")
    start = member.header_offset + 30 + len(member.filename)
    middle = start + member.compress_size // 2
    path.write_bytes(whole[:middle] + bytes(16) + whole[middle + 16 :])
    with pytest.raises(DataError, match=r"ModelNet40\.zip, .*sofa_0003\.off cannot be read"):
        modelnet40.prepare(str(tmp_path / "root"), str(tmp_path))


def test_what_a_source_is_not_is_told(sources: dict[str, Path], tmp_path: Path) -> None:
    def refused(source: Path | None, message: str) -> None:
        with pytest.raises(DataError, match=message):
            modelnet40.prepare(str(tmp_path / "root"), str(source) if source else None)

    refused(None, "run: lab data prepare modelnet40 --source FOLDER")
    refused(tmp_path / "nowhere", "nowhere does not exist")
    refused(unpacked({"a/b.txt": b""}, tmp_path / "other"), "no known form: neither ModelNet40.zip")
    both = tmp_path / "both"
    both.mkdir()
    for form in ("ModelNet40", "modelnet40_ply_hdf5_2048"):
        shutil.copy(sources[form] / f"{form}.zip", both)
    refused(both, r"several forms: .*ModelNet40\.zip \(meshes\), .*2048\.zip \(HDF5\); name one")
    files = {"M/airplane/train/airplane_0001.off": box("airplane", 1)}
    refused(zipped(files, tmp_path / "train.zip"), r"train\.zip has no test shapes")
    files |= {"M/aeroplane/test/aeroplane_0001.off": box("airplane", 1)}
    refused(zipped(files, tmp_path / "a.zip"), "'aeroplane' is no class .* Did you mean 'airplane'")
    files |= {"N/bed/test/bed_0001.off": box("bed", 1)}
    refused(zipped(files, tmp_path / "two.zip"), "meshes by class in each of M/, N/: name one")
    twice = {f"{copy}/train_files.txt": b"" for copy in "ab"}
    refused(unpacked(twice, tmp_path / "twice"), r"more than one train_files\.txt")


def test_a_zip_is_preferred_to_the_folder_it_is_being_unpacked_into(
    sources: dict[str, Path], root: str, tmp_path: Path
) -> None:
    shutil.copy(sources["ModelNet40"] / "ModelNet40.zip", tmp_path)
    half = {name: data for name, data in meshes().items() if "/a" in name or "/b" in name}
    unpacked(half, tmp_path)
    prepared = modelnet40.prepare(str(tmp_path / "root"), str(tmp_path))
    assert prepared.manifest.fingerprint == ModelNet40().open(root).fingerprint


def test_it_is_a_data_set_of_the_shape_that_the_papers_model_takes(root: str) -> None:
    data, model = ModelNet40(), variants.modelnet40()
    assert isinstance(data, Dataset)
    assert (data.input_shape, data.num_classes) == (model.input_shape, model.num_outputs) == ((2048, 3), 40)
    batch = next(iter(data.open(root).batches("train", batch_size=8, seed=0, epoch=0)))
    assert (batch.inputs.shape, batch.inputs.dtype) == ((8, 2048, 3), torch.float32)
    assert (batch.targets.shape, batch.targets.dtype) == ((8,), torch.int64)


def test_training_sees_the_papers_transforms_of_a_random_part() -> None:
    """Against numpy in double precision: centre, scale each point, centre again, unit cube."""
    points = np.random.default_rng(1).normal(loc=5, size=(300, 3)).astype("<f4")
    row = {"key": "vase_0001", "label": 37, "points": memoryview(points.tobytes())}
    cloud, label = ModelNet40(points=50).decode(row, Draws.of(3, 4, 5))
    assert label == 37
    draws = Draws.of(3, 4, 5)
    part = points[counter.permutation(draws.integer(0, 2**64 - 1), 300)[:50]].astype(np.float64)
    part -= part.mean(axis=0)
    numbers = counter.hashes(draws.integer(0, 2**64 - 1), np.arange(50)).astype(np.float64) / 2**64
    part *= (0.99 + 0.02 * numbers)[:, None]
    part -= part.mean(axis=0)
    assert np.allclose(cloud, part / np.abs(part).max(), atol=1e-6)
    assert np.abs(cloud).max() == 1
    assert np.allclose(cloud.mean(axis=0), 0, atol=1e-6)


def test_training_draws_anew_in_every_epoch_and_evaluation_never_does(root: str) -> None:
    stream = ModelNet40(points=64).open(root)
    ids = np.arange(10)

    def drawn(epoch: int | None) -> torch.Tensor:
        draw = None if epoch is None else lambda example: Draws.of(0, epoch, example)
        inputs = stream.examples("train", ids, draw).inputs
        assert isinstance(inputs, torch.Tensor)
        return inputs

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.isclose(drawn(0), drawn(1)).all(dim=(1, 2)).any()
    assert torch.equal(drawn(None), drawn(None))


def test_a_grid_holds_the_same_points_row_by_row(root: str) -> None:
    flat, placed = ModelNet40(points=42), ModelNet40(points=42, grid=(6, 7))
    assert placed.input_shape == (6, 7, 3)
    for epoch in (None, 0):
        draw = None if epoch is None else lambda example: Draws.of(0, 0, example)
        one, other = (data.open(root).examples("test", np.arange(5), draw).inputs for data in (flat, placed))
        assert isinstance(one, torch.Tensor)
        assert isinstance(other, torch.Tensor)
        assert torch.equal(one.reshape(5, 6, 7, 3), other)


def test_places_on_a_grid_tell_nothing_about_the_shape() -> None:
    """Stored in order along a line, points that are neighbours on the grid are as far apart as any two."""
    line = np.linspace(-1, 1, 2025, dtype="<f4")
    row = {"key": "door_0001", "label": 13, "points": memoryview(np.repeat(line, 3).tobytes())}
    for draws in (None, Draws.of(0, 0, 0)):
        grid, _ = ModelNet40(points=1936, grid=(44, 44)).decode(row, draws)
        for axis in (0, 1):
            apart = np.abs(np.diff(grid[..., 0].astype(np.float64), axis=axis)).mean()
            assert apart == pytest.approx(2 / 3, rel=0.05)


def test_the_papers_rivals_take_clouds_and_grids(root: str) -> None:
    cloud = Points(36, Fourier(bands=4, max_resolution=20))
    small = {"width": 16, "depth": 1, "heads": 2}
    for data, inputs in (
        (ModelNet40(points=36), cloud),
        (ModelNet40(points=36, grid=(6, 6)), Image(6, 6, channels=3)),
    ):
        batch = data.open(root).examples("test", np.arange(3))
        for model in (
            ResNet(
                inputs, depths=(1,), widths=(16,), residual="basic", stem="3x3", stem_width=16, num_classes=40
            ),
            ViT(inputs, patch=2, num_classes=40, **small),
            Transformer(inputs, num_classes=40, **small),
        ):
            assert model.input_shape == data.input_shape
            assert model.build()(batch.inputs).shape == (3, 40)
    perceiver = PerceiverConfig(
        cloud, num_latents=4, latent_channels=16, blocks=1, cross_attends=1, num_classes=40
    )
    assert isinstance(perceiver.build(), Perceiver)


def test_mistakes_are_answered_with_the_way_out(roots: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="points must be 1 or more, got 0"):
        ModelNet40(points=0)
    with pytest.raises(
        SpecError, match=r"scale must be the lowest and the highest factor.* got \(1.01, 0.99\)"
    ):
        ModelNet40(scale=(1.01, 0.99))
    with pytest.raises(SpecError, match="got 44 x 44: set points=1936"):
        ModelNet40(grid=(44, 44))
    with pytest.raises(MissingDataset, match="run: lab data prepare modelnet40"):
        ModelNet40().open(str(tmp_path))
    short = ModelNet40(points=201).open(roots["modelnet40_normal_resampled"])
    with pytest.raises(DataError, match="has 200 points: set points to that or less, got 201"):
        short.examples("test", np.arange(1))


def test_a_contact_sheet_shows_every_cloud(root: str, tmp_path: Path) -> None:
    from PIL import Image as Picture

    sheet = contact_sheet(root, "modelnet40", tmp_path / "sheet.png", count=4)
    pixels = np.asarray(Picture.open(sheet))
    assert pixels.shape == (3 * 150 + 14, 4 * 132 + 4, 3)
    for top in range(32, pixels.shape[0], 150):
        for left in range(4, pixels.shape[1], 132):
            dots = (pixels[top : top + 128, left : left + 128] != 255).any(axis=2)
            assert dots.mean() > 0.02

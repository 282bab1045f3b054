"""ImageNet in exactly the forms people hold it in, with 1,000 classes of three tiny images each."""

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from lab.errors import DataError, MissingDataset, SpecError
from lab.spec import Dataset
from perceiver import Image as ImageInputs
from pipelines.data import ImageNet, imagenet
from pipelines.data.counter import Draws
from pipelines.data.images import crops

WNIDS = [f"n{1_000_000 + 7 * index:08d}" for index in range(1000)]
# The devkit numbers classes in its own way, and lists their parents behind them.
NUMBER = {wnid: (index * 377) % 1000 + 1 for index, wnid in enumerate(WNIDS)}
VALIDATED = [WNIDS[(31 * place) % 1000] for place in range(40)]


def encoded(label: int, copy: int, kind: str = "JPEG", mode: str = "RGB") -> bytes:
    """A plain image whose colour tells its label and its copy."""
    picture = Image.new("RGB", (12, 10), (label % 32 * 8, label // 32 * 8, copy * 80)).convert(mode)
    stream = io.BytesIO()
    picture.save(stream, kind, quality=95)
    return stream.getvalue()


def colour(pixels: np.ndarray) -> tuple[int, int]:
    """(label, copy) of an image, read from its colour."""
    red, green, blue = pixels.reshape(-1, 3).mean(axis=0)
    return round(red / 8) + 32 * round(green / 8), round(blue / 80)


def training_image(wnid: str, copy: int) -> bytes:
    label = WNIDS.index(wnid)
    if (label, copy) == (5, 0):
        return encoded(label, copy, "PNG")
    if (label, copy) == (6, 0):
        return encoded(label, copy, mode="CMYK")
    return encoded(label, copy)


def tar(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def devkit() -> bytes:
    """ILSVRC2012_devkit_t12.tar.gz, with the fields of its meta.mat."""
    fields = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    leaves = sorted((number, wnid, "a thing", 0) for wnid, number in NUMBER.items())
    parents = [(1001, "n00000001", "every thing", 1000)]
    synsets = np.array(leaves + parents, dtype=fields).reshape(-1, 1)
    meta = io.BytesIO()
    savemat(meta, {"synsets": synsets})
    truth = "".join(f"{NUMBER[wnid]}\n" for wnid in VALIDATED)
    folder = "ILSVRC2012_devkit_t12/data"
    return gzip.compress(
        tar(
            {
                f"{folder}/ILSVRC2012_validation_ground_truth.txt": truth.encode(),
                f"{folder}/meta.mat": meta.getvalue(),
            }
        )
    )


@pytest.fixture(scope="module")
def tars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tars")
    inner = {f"{w}.tar": tar({f"{w}_{c}.JPEG": training_image(w, c) for c in range(3)}) for w in WNIDS}
    (folder / "ILSVRC2012_img_train.tar").write_bytes(tar(inner))
    official = {
        f"ILSVRC2012_val_{place + 1:08d}.JPEG": encoded(WNIDS.index(wnid), 3)
        for place, wnid in reversed(list(enumerate(VALIDATED)))
    }
    (folder / "ILSVRC2012_img_val.tar").write_bytes(tar(official))
    (folder / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(devkit())
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folders")
    for wnid in WNIDS:
        (folder / "train" / wnid).mkdir(parents=True)
        for copy in range(3):
            (folder / "train" / wnid / f"{wnid}_{copy}.JPEG").write_bytes(training_image(wnid, copy))
    for place, wnid in enumerate(VALIDATED):
        image = folder / "val" / wnid / f"ILSVRC2012_val_{place + 1:08d}.JPEG"
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(encoded(WNIDS.index(wnid), 3))
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, tars: Path) -> str:
    folder = str(tmp_path_factory.mktemp("data"))
    imagenet.prepare(folder, str(tars))
    return folder


def test_every_image_keeps_its_label_through_tars_and_devkit(root: str) -> None:
    source = ImageNet(resolution=8).open(root)
    assert [source.size(split) for split in ("train", "validation", "test")] == [2000, 1000, 40]
    seen = []
    for split in ("train", "validation", "test"):
        for batch in source.scan(split, batch_size=100):
            for inputs, label, weight in zip(batch.inputs, batch.targets, batch.weights, strict=True):
                if weight:
                    shown, copy = colour(ImageNet().picture(inputs))
                    assert shown == label
                    seen.append((split == "test", int(label), copy))
    training = [(False, label, copy) for label in range(1000) for copy in range(3)]
    assert sorted(seen) == sorted(training + [(True, WNIDS.index(wnid), 3) for wnid in VALIDATED])


def test_one_image_of_each_small_class_is_held_out(root: str) -> None:
    held = list(ImageNet().open(root).labels("validation"))
    assert sorted(held) == list(range(1000))


def test_tars_and_folders_give_the_same_bytes(root: str, folders: Path, tmp_path: Path) -> None:
    prepared = imagenet.prepare(str(tmp_path), str(folders))
    assert prepared.manifest == ImageNet().open(root).manifest


def test_a_flat_validation_folder_takes_its_labels_from_the_devkit(
    root: str, folders: Path, tars: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    (source / "val").mkdir(parents=True)
    (source / "train").symlink_to(folders / "train")
    (source / "ILSVRC2012_devkit_t12.tar.gz").symlink_to(tars / "ILSVRC2012_devkit_t12.tar.gz")
    for image in (folders / "val").rglob("*.JPEG"):
        (source / "val" / image.name).symlink_to(image)
    prepared = imagenet.prepare(str(tmp_path / "data"), str(source))
    assert prepared.manifest == ImageNet().open(root).manifest


def test_png_in_disguise_and_cmyk_are_counted_and_read(root: str) -> None:
    assert ImageNet().open(root).manifest.remarks == {"PNG RGB": 1, "JPEG CMYK": 1}


def test_the_data_set_promises_what_the_paper_uses() -> None:
    data = ImageNet()
    assert isinstance(data, Dataset)
    assert (data.name, data.input_shape, data.num_classes) == ("imagenet", (224, 224, 3), 1000)
    with pytest.raises(SpecError, match="resolution is in pixels and must be 1 or more, got 0"):
        ImageNet(resolution=0)


def test_evaluation_is_pillows_centre_crop(root: str) -> None:
    """To a level, by Pillow's own crop and resize, on noise: 448 of 512 pixels to 224."""
    noise = np.random.default_rng(0).integers(0, 256, (512, 700, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "PNG")
    pixels, label = ImageNet().decode({"key": "x", "label": 3, "image": stream.getvalue()}, None)
    cropped = Image.fromarray(noise[32:480, 126:574])
    expected = np.asarray(cropped.resize((224, 224), Image.Resampling.BICUBIC))
    assert np.abs(pixels - expected.astype(int)).max() <= 1
    inputs, targets = ImageNet().collate([(pixels, label)])
    assert (inputs[0].numpy() == pixels).all()
    assert inputs.dtype == torch.uint8
    assert targets.tolist() == [3]


def test_a_model_standardises_the_pixels_as_the_official_code_does() -> None:
    raw = torch.arange(256, dtype=torch.uint8).reshape(1, 8, 32, 1).repeat(1, 1, 1, 3)
    elements = ImageInputs(8, 32, pixels=imagenet.PIXELS).build()(raw)
    scaled = (raw / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(elements, scaled.flatten(1, 2), atol=1e-5, rtol=0)


def test_training_crops_cover_what_inception_crops_cover() -> None:
    boxes = np.array([crops.inception(500, 375, Draws.of(0, 0, i)) for i in range(3000)])
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert boxes.min() >= 0
    assert (boxes[:, 2] <= 500).all()
    assert (boxes[:, 3] <= 375).all()
    share, ratio = wide * high / (500 * 375), wide / high
    assert 0.079 < share.min() < 0.09
    assert 0.9 < share.max() <= 1
    assert 0.74 < ratio.min() < 0.77
    assert 1.3 < ratio.max() < 1.35


def test_images_too_narrow_for_any_crop_give_their_centre() -> None:
    assert crops.inception(1000, 8, Draws(0)) == crops.centre(1000, 8) == (497, 1, 504, 8)


def test_training_flips_half_of_the_images() -> None:
    """On an image that is dark on the left, whatever the crop: the brighter half tells."""
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], 48, axis=0).repeat(3, axis=2)
    stream = io.BytesIO()
    Image.fromarray(ramp).save(stream, "PNG")
    row = {"key": "x", "label": 0, "image": stream.getvalue()}
    data = ImageNet(resolution=16, augment=None)
    images = [data.decode(row, Draws.of(0, 0, example))[0] for example in range(400)]
    flipped = sum(float(image[:, :8].mean()) > float(image[:, 8:].mean()) for image in images)
    assert 150 < flipped < 250


def test_augmented_batches_do_not_depend_on_workers_or_start(root: str) -> None:
    source = ImageNet(resolution=16).open(root)
    options: dict[str, Any] = {"batch_size": 256, "seed": 1, "epoch": 2}
    last = list(source.batches("train", **options))[-1]
    (resumed,) = source.batches("train", start=2000 // 256 - 1, **options)
    assert torch.equal(last.inputs, resumed.inputs)


def test_a_missing_source_and_a_missing_data_set_say_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run: lab data prepare imagenet --source FOLDER"):
        imagenet.prepare(str(tmp_path))
    with pytest.raises(MissingDataset, match="run: lab data prepare imagenet"):
        ImageNet().open(str(tmp_path))
    with pytest.raises(DataError, match=r"holds neither ILSVRC2012_img_train.tar nor a folder train/"):
        imagenet.prepare(str(tmp_path), str(tmp_path))


@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_a_train_tar_that_is_cut_short_is_named(tars: Path, tmp_path: Path, share: float) -> None:
    for file in tars.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    victim = tmp_path / "ILSVRC2012_img_train.tar"
    victim.write_bytes(victim.read_bytes()[: int(victim.stat().st_size * share)])
    with pytest.raises(DataError, match=r"ILSVRC2012_img_train.tar"):
        imagenet.prepare(str(tmp_path / "data"), str(tmp_path))


def test_a_folder_that_is_no_class_is_named_before_it_shifts_the_labels(
    folders: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    (source / "train").mkdir(parents=True)
    (source / "val").symlink_to(folders / "val")
    for wnid in WNIDS[:-1]:
        (source / "train" / wnid).symlink_to(folders / "train" / wnid)
    with pytest.raises(DataError, match="training images of 999 classes, ImageNet has 1,000"):
        imagenet.prepare(str(tmp_path / "data"), str(source))
    (source / "train" / "thumbnails").mkdir()
    (source / "train" / "thumbnails" / "a.JPEG").write_bytes(encoded(0, 0))
    with pytest.raises(DataError, match="'thumbnails' is no WordNet id"):
        imagenet.prepare(str(tmp_path / "data"), str(source))


def test_a_file_that_is_no_image_is_named(tars: Path, tmp_path: Path) -> None:
    for file in tars.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    victim = tmp_path / "ILSVRC2012_img_val.tar"
    whole = victim.read_bytes()
    place = whole.index(encoded(WNIDS.index(VALIDATED[7]), 3))
    victim.write_bytes(whole[:place] + b"nothing" + whole[place + 7 :])
    with pytest.raises(DataError, match=f"image {VALIDATED[7]}/ILSVRC2012_val_00000008 .* is no image"):
        imagenet.prepare(str(tmp_path / "data"), str(tmp_path))


def test_a_damaged_image_is_named_when_it_is_decoded() -> None:
    row = {"key": "n01440764/n01440764_1", "label": 0, "image": encoded(0, 0)[:-80]}
    with pytest.raises(DataError, match="image n01440764/n01440764_1 of imagenet cannot be decoded"):
        ImageNet().decode(row, None)


def test_labels_and_images_that_do_not_match_in_number_are_refused(tars: Path, tmp_path: Path) -> None:
    for file in tars.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "ILSVRC2012_img_val.tar").write_bytes(tar({"ILSVRC2012_val_00000001.JPEG": encoded(0, 0)}))
    with pytest.raises(
        DataError, match=r"has 1 validation images, ILSVRC2012_devkit_t12.tar.gz has 40 labels"
    ):
        imagenet.prepare(str(tmp_path / "data"), str(tmp_path))
    (tmp_path / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(b"not a devkit")
    with pytest.raises(DataError, match=r"ILSVRC2012_devkit_t12.tar.gz is not the devkit"):
        imagenet.prepare(str(tmp_path / "data"), str(tmp_path))

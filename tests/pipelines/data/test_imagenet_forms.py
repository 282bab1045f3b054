"""Every form gives the same images and labels, and every known defect is counted or refused by name."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lab.errors import DataError
from pipelines.data import ImageNet, Manifest, imagenet
from pipelines.data.imagenet import source
from pipelines.data.imagenet.classes import label_of, wnids
from pipelines.data.payload import members
from pipelines.data.shards import ShardReader
from pipelines.data.storage import Directory
from tests.pipelines.data import imagenet_forms as forms
from tests.pipelines.data.imagenet_forms import VALIDATED, WNIDS, colour, encoded

Write = Callable[..., Path]
FORMS = {
    "tars": forms.write_tars,
    "folders": forms.write_folders,
    "flat validation": forms.write_flat_validation,
    "kaggle": forms.write_kaggle,
    "parquet": forms.write_parquet,
    "webdataset": forms.write_webdataset,
}
OF_THE_WHOLE_SET = {
    "training images missing of the official 1,281,167": 1_281_167 - 2000,
    "validation images missing of the official 50,000": 50_000 - 40,
}


def prepare(root: Path, folder: Path) -> Manifest:
    return imagenet.prepare(str(root), str(folder)).manifest


def refusal(tmp_path: Path, folder: Path) -> str:
    """What a source is refused with: one line, and no manifest left behind."""
    with pytest.raises(DataError) as caught:
        prepare(tmp_path / "data", folder)
    assert not (tmp_path / "data" / "imagenet" / "manifest.json").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def stored(root: Path, split: str) -> dict[str, tuple[int, bytes]]:
    """key -> (label, bytes) of everything that was prepared."""
    manifest = ImageNet().open(str(root)).manifest
    rows = {}
    for file in manifest.split(split).files:
        reader = ShardReader(Directory.at(str(root), "imagenet"), file, manifest.schema)
        for group in range(len(file.row_groups)):
            for row in reader.read(group, ["key", "label", "image"]):
                rows[row["key"]] = (row["label"], bytes(row["image"]))
    return rows


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training images in folders by class."""
    folder = tmp_path_factory.mktemp("classes") / "train"
    forms.by_class(folder, forms.training())
    return folder


@pytest.fixture(scope="module", params=FORMS)
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, classes: Path) -> Path:
    """ImageNet prepared from one form after the other."""
    folder = tmp_path_factory.mktemp("form")
    in_folders = request.param in ("folders", "flat validation", "kaggle")
    FORMS[request.param](folder / "source", classes if in_folders else forms.training(), forms.validation())
    prepare(folder / "data", folder / "source")
    shutil.rmtree(folder / "source")
    return folder / "data"


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Of the official tars."""
    folder = tmp_path_factory.mktemp("reference")
    forms.write_tars(folder / "source", forms.training(), forms.validation())
    return prepare(folder / "data", folder / "source")


def test_every_form_keeps_the_bytes_the_label_and_the_name_of_every_image(prepared: Path) -> None:
    expected = {f"{w}/{n[:-5]}": (WNIDS.index(w), data) for (w, n), data in forms.training().items()}
    held_out = stored(prepared, "validation")
    assert stored(prepared, "train") | held_out == expected
    assert sorted(label for label, _ in held_out.values()) == list(range(1000))
    official = {f"{w}/{n[:-5]}": (WNIDS.index(w), data) for (w, n), data in forms.validation().items()}
    assert stored(prepared, "test") == official


def test_every_form_gives_the_same_shards(prepared: Path, reference: Manifest) -> None:
    assert ImageNet().open(str(prepared)).manifest == reference
    assert reference.labels == WNIDS


def test_the_label_of_every_pixel_is_right(prepared: Path) -> None:
    data = ImageNet(resolution=8)
    for split in ("train", "validation", "test"):
        for batch in data.open(str(prepared)).scan(split, batch_size=500):
            for inputs, label, weight in zip(batch.inputs, batch.targets, batch.weights, strict=True):
                if weight:
                    assert colour(data.picture(inputs))[0] == label


def test_png_in_disguise_and_cmyk_are_counted_and_a_part_of_the_set_is_told(prepared: Path) -> None:
    remarks = ImageNet().open(str(prepared)).manifest.remarks
    assert remarks == {"PNG RGB": 1, "JPEG CMYK": 1} | OF_THE_WHOLE_SET


def test_nothing_unpacked_stays_behind(prepared: Path) -> None:
    assert [each.name for each in prepared.iterdir() if any(each.iterdir())] == ["imagenet"]


def test_well_known_labels() -> None:
    """As every list of them has it: tench, goldfish, golden retriever, tabby, giant panda; toilet tissue."""
    known = {0: "n01440764", 1: "n01443537", 207: "n02099601", 281: "n02123045", 388: "n02510455"}
    assert {label_of(wnid): wnid for wnid in known.values()} == known
    assert (len(wnids()), wnids()[999]) == (1000, "n15075141")
    assert list(wnids()) == sorted(set(wnids()))


@pytest.mark.parametrize(
    ("training", "validation", "remarks"),
    [
        (1_281_167, 50_000, {}),
        (1_281_166, 50_000, {"training images missing of the official 1,281,167": 1}),
        (1_281_167, 50_003, {"validation images more than the official 50,000": 3}),
    ],
)
def test_only_the_whole_set_is_without_a_remark(training: int, validation: int, remarks: dict) -> None:
    assert source.differences(training, validation) == remarks


def test_preparing_tells_what_it_remarks(tmp_path: Path) -> None:
    folder = forms.write_tars(tmp_path / "source", forms.training(), forms.validation())
    told = str(imagenet.prepare(str(tmp_path / "data"), str(folder))).splitlines()
    assert "train 1,000, validation 1,000, test 40" in told[0]
    assert "  1,279,167 training images missing of the official 1,281,167" in told


def damaged_exif() -> bytes:
    """A directory that points behind its end, as in hundreds of ImageNet's files."""
    return encoded(
        9, 0, exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x0f\x01\x02\x00\xff\x00\x00\x00\x1a\x00"
    )


def flipped_bits() -> bytes:
    """A JPEG with damage inside its scan, which decoders warn of and read."""
    from io import BytesIO

    from PIL import Image

    stream = BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(stream, "JPEG")
    data = bytearray(stream.getvalue())
    data[len(data) // 2] ^= 0x55
    return bytes(data)


DEFECTS = {
    "JPEG L": encoded(7, 0, mode="L"),
    "damaged EXIF": damaged_exif(),
    "bytes behind its end": encoded(8, 0) + b"\x00" * 100,
    "damaged scan": flipped_bits(),
    "JPEG L, bytes behind its end": encoded(8, 0, mode="L") + b"<html>",
}


def test_readable_defects_are_counted_and_kept_as_they_are(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    images = forms.training()
    for (place, data), copy in zip(enumerate(DEFECTS.values()), (0, 1, 0, 1, 0), strict=True):
        images[WNIDS[20 + place], f"{WNIDS[20 + place]}_{copy}.JPEG"] = data
    folder = forms.write_tars(tmp_path / "source", images, forms.validation())
    remarks = prepare(tmp_path / "data", folder).remarks
    assert remarks == dict.fromkeys(DEFECTS, 1) | {"PNG RGB": 1, "JPEG CMYK": 1} | OF_THE_WHOLE_SET
    rows = stored(tmp_path / "data", "train") | stored(tmp_path / "data", "validation")
    assert set(DEFECTS.values()) <= {data for _, data in rows.values()}
    assert not [warning for warning in recwarn if "EXIF" in str(warning.message)]


@pytest.fixture
def with_unreadable(tmp_path: Path) -> Path:
    """One image cut short, one that is a web page, one empty, among the official 2,000."""
    images = forms.training()
    images[WNIDS[1], f"{WNIDS[1]}_1.JPEG"] = encoded(1, 1)[:-60]
    images[WNIDS[2], f"{WNIDS[2]}_0.JPEG"] = b"<html>404</html>"
    official = forms.validation()
    official[VALIDATED[7], "ILSVRC2012_val_00000008.JPEG"] = b""
    return forms.write_tars(tmp_path / "source", images, official)


def test_all_unreadable_images_are_counted_and_named_with_their_place(
    tmp_path: Path, with_unreadable: Path
) -> None:
    says = refusal(tmp_path, with_unreadable)
    assert "3 of the 2,040 examples of imagenet cannot be read" in says
    for key, why, place in (
        (f"{WNIDS[1]}/{WNIDS[1]}_1", "is cut short", f"img_train.tar, {WNIDS[1]}.tar, {WNIDS[1]}_1.JPEG"),
        (f"{WNIDS[2]}/{WNIDS[2]}_0", "is no image", f"img_train.tar, {WNIDS[2]}.tar, {WNIDS[2]}_0.JPEG"),
        (f"{VALIDATED[7]}/ILSVRC2012_val_00000008", "is empty", "img_val.tar, ILSVRC2012_val_00000008.JPEG"),
    ):
        assert f"image {key} {why} (" in says
        assert place in says
    listed = (tmp_path / "data" / "imagenet" / "unreadable.tsv").read_text().splitlines()
    assert {line.split("\t")[1] for line in listed} == {
        f"{WNIDS[1]}/{WNIDS[1]}_1",
        f"{WNIDS[2]}/{WNIDS[2]}_0",
        f"{VALIDATED[7]}/ILSVRC2012_val_00000008",
    }


def test_unreadable_images_are_left_out_only_where_a_person_has_listed_them(
    tmp_path: Path, with_unreadable: Path
) -> None:
    refusal(tmp_path, with_unreadable)
    place = tmp_path / "data" / "imagenet"
    (place / "unreadable.tsv").rename(place / "left_out.tsv")
    manifest = prepare(tmp_path / "data", with_unreadable)
    assert sum(split.rows for split in manifest.splits) == 2037
    assert manifest.remarks["left out, as left_out.tsv says"] == 3
    assert not (place / "unreadable.tsv").exists()


def test_leaving_out_what_is_not_there_is_refused(tmp_path: Path, with_unreadable: Path) -> None:
    place = tmp_path / "data" / "imagenet"
    place.mkdir(parents=True)
    (place / "left_out.tsv").write_text("train\tn01440764/n01440764_99\n")
    assert "lists 'n01440764/n01440764_99' of split 'train', and there is no such example" in refusal(
        tmp_path, with_unreadable
    )


def test_a_repaired_source_is_prepared_like_one_that_never_was_damaged(
    tmp_path: Path, with_unreadable: Path
) -> None:
    refusal(tmp_path, with_unreadable)
    forms.write_tars(with_unreadable, forms.training(), forms.validation())
    repaired = prepare(tmp_path / "data", with_unreadable)
    assert repaired == prepare(tmp_path / "other", with_unreadable)
    assert sorted(each.name for each in (tmp_path / "data" / "imagenet").iterdir()) == sorted(
        each.name for each in (tmp_path / "other" / "imagenet").iterdir()
    )


# What is refused


def few(*skipped: str) -> dict[tuple[str, str], bytes]:
    """One image of each class but these."""
    return {(w, f"{w}_0.JPEG"): encoded(i, 0) for i, w in enumerate(WNIDS) if w not in skipped}


@pytest.mark.parametrize("write", [forms.write_tars, forms.write_parquet, forms.write_webdataset])
def test_999_classes_are_refused_and_the_missing_one_is_named(tmp_path: Path, write: Write) -> None:
    folder = write(tmp_path / "source", few(WNIDS[998]), forms.validation())
    says = refusal(tmp_path, folder)
    assert f"training images of 999 classes, ImageNet has 1,000: {WNIDS[998]} is missing" in says


def test_a_folder_that_is_no_class_is_named_before_it_shifts_the_labels(
    tmp_path: Path, classes: Path
) -> None:
    folder = forms.write_folders(tmp_path / "source", classes, forms.validation())
    stranger = folder / "train" / ".ipynb_checkpoints"
    stranger.mkdir()
    assert f"{stranger} is a class without images" in refusal(tmp_path, folder)
    (stranger / "n01440764_0-checkpoint.JPEG").write_bytes(encoded(0, 0))
    assert "'.ipynb_checkpoints' is no WordNet id" in refusal(tmp_path, folder)
    stranger.rename(folder / "train" / "n02110532")
    assert "n02110532 is not one of ImageNet's 1,000 classes" in refusal(tmp_path, folder)


def test_a_class_without_images_or_without_a_folder_is_named(tmp_path: Path, classes: Path) -> None:
    folder = forms.write_folders(tmp_path / "source", classes, forms.validation())
    (folder / "train" / WNIDS[3]).unlink()
    assert f"of 999 classes, ImageNet has 1,000: {WNIDS[3]} is missing" in refusal(tmp_path, folder)
    (folder / "train" / WNIDS[3]).mkdir()
    assert f"{folder / 'train' / WNIDS[3]} is a class without images" in refusal(tmp_path, folder)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_a_train_tar_that_is_cut_short_is_named_with_the_member(tmp_path: Path, share: float) -> None:
    folder = forms.write_tars(tmp_path / "source", few(), forms.validation())
    victim = folder / "ILSVRC2012_img_train.tar"
    whole = [name for name, _ in members(victim)]
    cut = int(victim.stat().st_size * share) // 1024 * 1024 + 700
    victim.write_bytes(victim.read_bytes()[:cut])
    says = refusal(tmp_path, folder)
    assert f"{victim} ends" in says
    assert sum(f" {name}" in says for name in whole) == 1


def test_a_tar_that_is_cut_between_two_members_is_no_whole_tar(tmp_path: Path) -> None:
    """Python's own reader takes the end of such a file for the end of the tar."""
    folder = forms.write_webdataset(tmp_path / "source", few(), forms.validation())
    victim = folder / "imagenet1k-train-0001.tar"
    *_, last = members(victim)
    victim.write_bytes(victim.read_bytes()[: last[1].offset + 512])
    assert f"{victim} ends or is damaged after ./{last[0]}" in refusal(tmp_path, folder)
    victim.write_bytes(victim.read_bytes()[: last[1].offset - 512])
    assert f"{victim} ends or is damaged after ./" in refusal(tmp_path, folder)


def test_labels_and_images_that_do_not_match_in_number_are_refused(tmp_path: Path) -> None:
    folder = forms.write_tars(tmp_path / "source", few(), forms.validation())
    images = folder / "ILSVRC2012_img_val.tar"
    images.write_bytes(forms.tar({"ILSVRC2012_val_00000002.JPEG": encoded(0, 0)}))
    says = refusal(tmp_path, folder)
    assert "has 1 validation images, ILSVRC2012_devkit_t12.tar.gz has 40 labels for them" in says
    assert "ILSVRC2012_val_00000001 is missing" in says
    images.write_bytes(forms.tar({"ILSVRC2012_val_00000041.JPEG": encoded(0, 0)}))
    assert "has no label for ILSVRC2012_val_00000041" in refusal(tmp_path, folder)
    (folder / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(b"not a devkit")
    assert "ILSVRC2012_devkit_t12.tar.gz is not the devkit" in refusal(tmp_path, folder)
    (folder / "ILSVRC2012_devkit_t12.tar.gz").unlink()
    assert "neither ILSVRC2012_devkit_t12.tar.gz nor LOC_val_solution.csv" in refusal(tmp_path, folder)
    images.unlink()
    assert f"{images} is missing" in refusal(tmp_path, folder)


def test_a_validation_folder_sorted_halfway_is_refused(tmp_path: Path, classes: Path) -> None:
    folder = forms.write_folders(tmp_path / "source", classes, forms.validation())
    (folder / "val" / "ILSVRC2012_val_00000041.JPEG").write_bytes(encoded(0, 0))
    assert "sort all of them, or none" in refusal(tmp_path, folder)


def test_a_missing_or_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    folder = forms.write_parquet(tmp_path / "source", few(), forms.validation())
    victim = folder / "data" / "train-00001-of-00003.parquet"
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2])
    assert f"{victim} is damaged or no table" in refusal(tmp_path, folder)
    victim.write_bytes(whole[:2000] + bytes(64) + whole[2064:])
    assert f"{victim} is damaged or no table" in refusal(tmp_path, folder)
    victim.unlink()
    says = refusal(tmp_path, folder)
    assert "train-00001-of-00003 is missing, with 1 of 3 files in all" in says
    victim.write_bytes(whole)
    for file in (folder / "data").glob("validation-*"):
        file.unlink()
    assert "has no validation-*-of-*.parquet" in refusal(tmp_path, folder)


def rewritten(file: Path, change: Callable[[dict], dict]) -> None:
    """A Parquet file with its second row changed."""
    table = pq.read_table(file)
    rows = table.to_pylist()
    pq.write_table(pa.Table.from_pylist([rows[0], change(rows[1]), *rows[2:]], schema=table.schema), file)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda row: row | {"label": -1}, r"row 1 has the label -1 \(-1 marks the test images"),
        (lambda row: row | {"label": 1000}, "row 1 has the label 1000; ImageNet's are 0 to 999"),
        (lambda row: row | {"label": (row["label"] + 1) % 1000}, "row 1 is labelled .* its name .* says"),
        (lambda row: row | {"image": {"bytes": None, "path": "/a.JPEG"}}, "row 1 has no image bytes"),
    ],
    ids=["unlabelled", "too large", "contradicts its name", "a path only"],
)
def test_wrong_labels_and_missing_bytes_in_parquet_are_named_by_row(
    tmp_path: Path, change: Callable[[dict], dict], says: str
) -> None:
    folder = forms.write_parquet(tmp_path / "source", few(), forms.validation())
    victim = folder / "data" / "train-00002-of-00003.parquet"
    rewritten(victim, change)
    with pytest.raises(DataError, match=f"{victim}, {says}"):
        prepare(tmp_path / "data", folder)


def test_parquet_without_names_keeps_labels_and_is_numbered(tmp_path: Path) -> None:
    folder = forms.write_parquet(tmp_path / "source", few(), forms.validation(), paths=False)
    prepare(tmp_path / "data", folder)
    rows = stored(tmp_path / "data", "test")
    assert {data: label for label, data in rows.values()} == {
        data: WNIDS.index(w) for (w, _), data in forms.validation().items()
    }
    assert all(re.fullmatch(r"n\d{8}/validation-0000\d-of-00003-0000\d\d", key) for key in rows)


def test_an_interrupted_preparation_does_not_unpack_again(tmp_path: Path) -> None:
    """What was unpacked stays when a preparation fails, and its files are used as they are."""
    images = few()
    images[WNIDS[4], f"{WNIDS[4]}_0.JPEG"] = b"no image"
    folder = forms.write_parquet(tmp_path / "source", images, forms.validation())
    assert "is no image" in refusal(tmp_path, folder)
    unpacked = sorted((tmp_path / "data" / ".unpacked" / "imagenet").iterdir())
    stamps = [file.stat().st_mtime_ns for file in unpacked]
    assert len(unpacked) == 6
    assert "is no image" in refusal(tmp_path, folder)
    assert [file.stat().st_mtime_ns for file in unpacked] == stamps


def test_a_scratch_that_is_too_small_is_refused_before_anything_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what is not unpacked yet needs room."""
    folder = forms.write_parquet(tmp_path / "source", few(), forms.validation())
    images = sum(map(len, [*few().values(), *forms.validation().values()]))
    disk = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: disk._replace(free=images // 2))
    told = refusal(tmp_path, folder)
    assert re.search(r"takes 0\.0 GB of scratch in .*/\.unpacked/imagenet, where 0\.0 GB are free", told)
    assert "set LAB_DATA (TMPDIR where that is on an object store) to a folder on a larger disk" in told
    assert "\n" not in told
    assert not [file for file in (tmp_path / "data").rglob("*") if file.is_file() and file.name != ".lock"]
    monkeypatch.setattr(shutil, "disk_usage", lambda place: disk._replace(free=2 * images))
    prepare(tmp_path / "data", folder)


def test_webdataset_without_official_names_keeps_its_own(tmp_path: Path) -> None:
    folder = forms.write_webdataset(tmp_path / "source", few(), forms.validation(), official_names=False)
    prepare(tmp_path / "data", folder)
    rows = stored(tmp_path / "data", "test")
    assert rows[f"{VALIDATED[12]}/000000012"] == (
        WNIDS.index(VALIDATED[12]),
        encoded(WNIDS.index(VALIDATED[12]), 3),
    )


@pytest.mark.parametrize(
    ("example", "says"),
    [
        ({"a.jpg": b"x"}, "a has jpg; an example is an image"),
        ({"a.cls": b"7"}, "a has cls; an example is an image"),
        ({"a.jpg": b"x", "a.cls": b"1000"}, "a.cls has the label 1000; ImageNet's are 0 to 999"),
        ({"a.jpg": b"x", "a.cls": b"tench"}, "a.cls has the label 'tench'"),
        ({"n01440764_1.jpg": b"x", "n01440764_1.cls": b"5"}, "n01440764_1.cls says 5, and the image's name"),
        ({"a.jpg": b"x", "a.cls": b"5", "a.json": b"{"}, "a.json is no JSON object"),
    ],
)
def test_webdataset_examples_that_are_not_whole_or_contradict_themselves_are_named(
    tmp_path: Path, example: dict[str, bytes], says: str
) -> None:
    folder = forms.write_webdataset(tmp_path / "source", few(), forms.validation(), files=1)
    victim = folder / "imagenet1k-train-0000.tar"
    victim.write_bytes(forms.tar(example))
    assert says in refusal(tmp_path, folder)
    (folder / "imagenet1k-train-0002.tar").write_bytes(forms.tar(example))
    assert "no tar number 1 of train, and has 2" in refusal(tmp_path, folder)


@pytest.mark.parametrize(
    ("held", "described"),
    [
        (["imagenet2012-train.tfrecord-00000-of-01024"], "TFDS or TensorFlow records"),
        (["imagenet-object-localization-challenge.zip"], "an archive to be unpacked first"),
        (["train.beton"], "FFCV files"),
        (["n01440764", "n01443537"], "classes outside of a folder train/"),
        (["winter21_whole.tar.gz"], "ImageNet-21k"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
        ([], "nothing"),
    ],
)
def test_other_things_are_named_with_what_is_expected(
    tmp_path: Path, held: list[str], described: str
) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    for name in held:
        (folder / name).touch()
    says = refusal(tmp_path, folder)
    assert f"{folder} holds {described}" in says
    for expected in ("ILSVRC2012_img_train.tar", "train/<wnid>/", "Parquet", "webdataset", "Kaggle"):
        assert expected in says


def test_a_source_that_is_a_file_or_not_there_is_refused(tmp_path: Path) -> None:
    assert f"--source {tmp_path / 'source'} is not there" in refusal(tmp_path, tmp_path / "source")
    (tmp_path / "ILSVRC2012_img_train.tar").touch()
    assert "is a file: name the folder it is in" in refusal(tmp_path, tmp_path / "ILSVRC2012_img_train.tar")


def test_two_forms_in_one_folder_are_not_guessed_between(tmp_path: Path, classes: Path) -> None:
    forms.write_tars(tmp_path / "source", {}, {})
    forms.write_folders(tmp_path / "source", classes, forms.validation())
    assert "name a folder with one of them" in refusal(tmp_path, tmp_path / "source")

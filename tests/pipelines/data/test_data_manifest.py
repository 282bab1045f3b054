import json
from dataclasses import replace
from typing import Any

import pytest

from lab.errors import CorruptShard, DataError, MissingDataset
from pipelines.data import manifest as manifests
from pipelines.data.storage import Directory


def change(numbers: Any, **fields: Any) -> None:
    path = numbers.folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_manifest_comes_back_as_it_was_written(numbers: Any) -> None:
    written = numbers.prepare().manifest
    assert manifests.read(Directory.at(str(numbers.root), "numbers")) == written


def test_the_fingerprint_follows_every_byte_and_every_label(numbers: Any) -> None:
    manifest = numbers.prepare().manifest
    train, test = manifest.splits
    other = replace(train, files=(replace(train.files[0], sha256="0" * 64), *train.files[1:]))
    variants = [
        manifest,
        replace(manifest, labels=("odd", "even")),
        replace(manifest, splits=(other, test)),
        replace(manifest, splits=(replace(train, files=train.files[::-1]), test)),
    ]
    assert len({variant.fingerprint for variant in variants}) == 4
    assert replace(manifest, remarks={"PNG": 1}).fingerprint == manifest.fingerprint


def test_a_missing_manifest_is_a_missing_data_set(numbers: Any) -> None:
    with pytest.raises(
        MissingDataset, match=r"numbers is not prepared under .*; run: lab data prepare numbers"
    ):
        numbers.open()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rows": 3}, "rows"),
        ({"labels": 3}, "labels"),
        ({"splits": []}, "splits"),
        ({"name": "letters"}, "describes 'letters', not 'numbers'"),
    ],
)
def test_a_manifest_that_says_nonsense_is_refused(numbers: Any, fields: dict[str, Any], message: str) -> None:
    numbers.prepare()
    change(numbers, **fields)
    with pytest.raises(DataError, match=rf"manifest.json .*{message}.*run: lab data prepare numbers"):
        numbers.open()


def test_a_manifest_cut_short_is_refused_and_preparing_again_repairs_it(numbers: Any) -> None:
    manifest = numbers.prepare().manifest
    path = numbers.folder / "manifest.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"manifest.json is damaged: not JSON"):
        numbers.open()
    assert numbers.prepare().manifest == manifest


def test_a_manifest_of_another_version_asks_for_a_new_preparation(numbers: Any) -> None:
    numbers.prepare()
    change(numbers, version=0)
    with pytest.raises(
        MissingDataset, match="prepared as version 0, and this code reads version 1; run: lab data"
    ):
        numbers.open()


def test_files_that_are_not_as_listed_are_named_before_anything_is_read(numbers: Any) -> None:
    numbers.prepare()
    victim = numbers.folder / "train-00001-of-00005.parquet"
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-1])
    with pytest.raises(
        CorruptShard, match=f"train-00001-of-00005.parquet has {len(whole) - 1:,} bytes where"
    ):
        numbers.open()
    victim.unlink()
    with pytest.raises(
        DataError, match=r"train-00001-of-00005.parquet is missing, and the manifest lists it"
    ):
        numbers.open()


def test_row_groups_that_are_not_as_listed_are_named_when_they_are_read(numbers: Any) -> None:
    numbers.prepare()
    data = json.loads((numbers.folder / "manifest.json").read_text())
    data["splits"][0]["files"][0]["row_groups"] = [8, 7, 6]
    change(numbers, splits=data["splits"])
    with pytest.raises(
        CorruptShard, match=r"00000-of-00005.parquet, row group 0, .* 7 rows where the manifest says 8"
    ):
        list(numbers.open().scan("train", batch_size=10))


def test_file_names_cannot_lead_out_of_the_folder() -> None:
    with pytest.raises(ValueError, match="plain file name"):
        manifests.ShardFile(name="../secret.parquet", row_groups=(1,), sha256="", bytes=0)

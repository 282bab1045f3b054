"""What `lab data` says and shows."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import pipelines.data as shelf
from lab.errors import CorruptShard, MissingDataset, UnknownName
from pipelines.data.prepare import names


def test_a_module_with_a_data_set_is_all_it_takes_to_be_found() -> None:
    assert {"digits", "imagenet"} <= set(names())
    assert not {"prepare", "stream", "order"} & set(names())


def test_names_nobody_knows_get_the_near_miss(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"no data set 'digit'. Did you mean 'digits'\?"):
        shelf.prepare("digit", str(tmp_path))


@pytest.mark.parametrize("address", ["{}", "file://{}"], ids=["path", "uri"])
def test_the_states_of_a_data_set(tmp_path: Path, address: str) -> None:
    root = address.format(tmp_path)
    assert shelf.inventory(root, "digits").state == "not prepared"
    with pytest.raises(MissingDataset, match="run: lab data prepare digits"):
        shelf.describe(root, "digits")
    with pytest.raises(MissingDataset, match="run: lab data prepare digits"):
        shelf.verify(root, "digits")
    assert not shelf.prepare("digits", root).already
    assert shelf.prepare("digits", root).already
    assert shelf.inventory(root, "digits").state == "prepared"
    assert shelf.verify(root, "digits").manifest.fingerprint in str(shelf.describe(root, "digits"))
    (tmp_path / "digits" / "test-00000-of-00001.parquet").unlink()
    assert shelf.inventory(root, "digits").state == "damaged"


def test_verification_finds_what_sizes_do_not_show(tmp_path: Path) -> None:
    shelf.prepare("digits", str(tmp_path))
    victim = tmp_path / "digits" / "validation-00000-of-00001.parquet"
    data = bytearray(victim.read_bytes())
    data[len(data) // 3] ^= 1
    victim.write_bytes(data)
    assert shelf.inventory(str(tmp_path), "digits").state == "prepared"
    with pytest.raises(CorruptShard, match=r"validation-00000-of-00001.parquet"):
        shelf.verify(str(tmp_path), "digits")


def test_a_description_counts_the_classes_as_scikit_learn_does(tmp_path: Path) -> None:
    shelf.prepare("digits", str(tmp_path))
    described = shelf.describe(str(tmp_path), "digits")
    total = [sum(split[str(digit)] for split in described.balance.values()) for digit in range(10)]
    assert total == np.bincount(load_digits().target).tolist()
    text = str(described)
    assert str(tmp_path / "digits") in text
    lines = [line.split() for line in text.splitlines()]
    assert ["train", "1,197", "10", "of", "10", "116", "to", "122"] in lines
    for digit in range(10):
        counts = [f"{split[str(digit)]}" for split in described.balance.values()]
        assert [str(digit), *counts] in lines


def test_a_contact_sheet_shows_examples_of_the_data(tmp_path: Path) -> None:
    """Its tiles, shrunk back to 8 x 8, are digits of scikit-learn."""
    shelf.prepare("digits", str(tmp_path))
    path = shelf.contact_sheet(str(tmp_path), "digits", tmp_path / "sheet.png", count=5)
    sheet = np.asarray(Image.open(path).convert("L")).astype(float)
    assert sheet.shape == (14 + 3 * (14 + 4 + 64 + 4), 5 * 68 + 4)
    known = 255 - load_digits().images * 255 / 16
    for column in range(5):
        tile = sheet[32 : 32 + 64 : 8, 4 + column * 68 : 68 + column * 68 : 8]
        assert np.abs(known - tile).max(axis=(1, 2)).min() <= 1

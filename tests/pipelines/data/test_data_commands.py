"""What a person reads who types `lab data`."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from lab.commands.data import data
from lab.errors import DataError, MissingDataset, SpecError, UnknownName
from pipelines.data.description import Description, size
from pipelines.data.manifest import Manifest, ShardFile, Split


def lab_data(action: str, dataset: str | None = None, source: str | None = None) -> None:
    data(argparse.Namespace(action=action, dataset=dataset, source=source))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_DATA", str(tmp_path))
    return tmp_path


def said(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The words of each line that was printed."""
    return [line.split() for line in capsys.readouterr().out.splitlines() if line]


def test_the_list_says_what_is_there_and_how_much(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab_data("list")
    before = said(capsys)
    assert before[0] == ["under", str(home)]
    assert {"digits", "imagenet", "audioset", "modelnet40"} <= {line[0] for line in before[1:]}
    assert all(line[1:3] == ["not", "prepared"] for line in before[1:])
    lab_data("prepare", "digits")
    capsys.readouterr()
    lab_data("list")
    (digits,) = [line for line in said(capsys) if line[0] == "digits"]
    stored = sum(file.stat().st_size for file in (home / "digits").glob("*.parquet"))
    assert digits[1:6] == ["prepared", "1,797", "examples", f"{stored / 1000:.1f}", "kB"]
    next((home / "digits").glob("test-*")).unlink()
    lab_data("list")
    assert ["digits", "damaged"] in [line[:2] for line in said(capsys)]


def test_showing_prints_the_place_the_fingerprint_and_each_class_and_draws(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab_data("prepare", "digits")
    fingerprint = said(capsys)[0][-1].rstrip(")")
    lab_data("show", "digits")
    lines = said(capsys)
    assert lines[0] == ["digits,", "version", "1,", "fingerprint", fingerprint]
    assert lines[1][:2] == ["where", f"{home}/digits,"]
    assert ["validation", "300", "10", "of", "10", "29", "to", "31"] in lines
    assert lines[-1] == ["examples", f"{home}/digits.png"]
    assert np.asarray(Image.open(home / "digits.png")).shape[2] == 3


def test_of_many_classes_the_most_and_the_least_frequent_are_listed_and_several_labels_counted() -> None:
    labels = tuple(f"/m/{index:03d}" for index in range(527))
    schema = {"key": "string", "labels": str(pa.list_(pa.int16()))}
    file = ShardFile(name="train-0.parquet", row_groups=(1000,), sha256="", bytes=2_500_000)
    manifest = Manifest("clips", 1, "lists", labels, schema, (Split("train", (file,)),), {"missing": 12_345})
    balance = {"train": {label: index for index, label in enumerate(labels) if index}}
    lines = [line.split() for line in str(Description(manifest, "s3://b/clips", balance)).splitlines()]
    assert ["where", "s3://b/clips,", "2.5", "MB", "in", "1", "files"] in lines
    labels_each = f"{526 * 527 / 2 / 1000:.2f}"
    assert ["train", "1,000", "526", "of", "527", "1", "to", "526", labels_each] in lines
    assert ["/m/526", "526"] in lines
    assert ["/m/000", "0"] in lines
    assert ["/m/300", "300"] not in lines
    assert any(line[:3] == ["...", "507", "classes"] for line in lines)
    assert ["12,345", "missing"] in lines
    assert len(lines) < 35
    few = Description(replace(manifest, labels=labels[:3]), "", {"train": {"/m/001": 4, "/m/002": 4}})
    assert ["train", "1,000", "2", "of", "3", "4", "0.01"] in [line.split() for line in str(few).splitlines()]


@pytest.mark.parametrize(
    ("arguments", "fault", "message"),
    [
        (("show", "digit"), UnknownName, r"no data set 'digit'. Did you mean 'digits'\?"),
        (("prepare",), UnknownName, "lab data prepare needs the name of a data set: .*digits"),
        (("verify", "digits", "somewhere"), SpecError, "lab data verify takes no --source"),
        (("show", "digits"), MissingDataset, "run: lab data prepare digits"),
        (("verify", "digits"), MissingDataset, "run: lab data prepare digits"),
        (("prepare", "digits", "somewhere"), SpecError, "made from no source, got 'somewhere': leave it out"),
        (("prepare", "imagenet", "/no/such/folder"), DataError, "--source /no/such/folder is not there"),
    ],
)
def test_a_mistake_is_answered_with_the_way_out(
    arguments: tuple[str, ...], fault: type[Exception], message: str
) -> None:
    with pytest.raises(fault, match=message):
        lab_data(*arguments)


def test_sizes_are_read_as_people_write_them() -> None:
    sizes = (0, 999, 1000, 152_700, 9_800_000, 1.4e11, 2.43e12, 5e15)
    expected = ["0 bytes", "999 bytes", "1.0 kB", "152.7 kB", "9.8 MB", "140.0 GB", "2.4 TB", "5,000.0 TB"]
    assert [size(each) for each in sizes] == expected

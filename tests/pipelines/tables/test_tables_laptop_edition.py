"""The laptop edition that lies under docs/: it verifies, and whatever is altered in it is named by its cell.

Where it does not verify because tables are written otherwise now, `make pages` writes them again from its own
record.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.cli import main as lab
from lab.commands.tables import sweeps_of
from pipelines.tables import Archive, assemble, pack, verify_archive
from pipelines.tables.archive import MANIFEST
from pipelines.tables.colophon import FILE

EDITION = Path(__file__).parents[3] / "docs" / "laptop"
ROW, CELL = "ResNet (FF)", "table2 / ResNet (FF) / permuted"

Members = dict[str, str]


@pytest.fixture(scope="module")
def edition() -> Archive:
    return Archive.open(EDITION / "record.zip")


@pytest.fixture(scope="module")
def small(edition: Archive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Table 2 of it alone, which is verified sooner."""
    place = tmp_path_factory.mktemp("small") / "record.zip"
    sweeps = {n: s for n, s in sweeps_of(["table2"], edition.colophon.scale).items() if n == "table2"}
    pack(place, ["table2"], edition.colophon.snapshot, sweeps, edition.made_with)
    return place


def found(small: Path, tmp_path: Path, alter: Callable[[Members], None]) -> list[str]:
    """What is found in the archive after somebody has altered it, and has made its manifest anew."""
    with zipfile.ZipFile(small) as archive:
        members = {name: archive.read(name).decode() for name in archive.namelist()}
    alter(members)
    hashes = {n: hashlib.sha256(t.encode()).hexdigest() for n, t in members.items() if n != MANIFEST}
    members[MANIFEST] = json.dumps(hashes)
    with zipfile.ZipFile(tmp_path / "altered.zip", "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    sweeps = {n: s for n, s in sweeps_of(["table2"], "laptop").items() if n == "table2"}
    opened = Archive.open(tmp_path / "altered.zip")
    return [str(fault) for fault in verify_archive(opened, sweeps).faults]


def cells(faults: list[str]) -> set[str]:
    """Those that are named; what is of no cell is not counted."""
    return {fault.partition(": ")[0] for fault in faults if fault.startswith("table2 / ")}


def readings(edition: Archive) -> dict[int, tuple[str, float]]:
    """Seed -> the run and the value in percent of one cell, of whose runs no other cell is made."""
    tables = assemble(["table2"], edition.colophon.snapshot, sweeps_of(["table2"], "laptop"))
    return {r.seed: (r.run_id, r.value) for r in tables[0].cell(ROW, "permuted").readings}  # type: ignore[union-attr]


def test_nothing_is_found_where_nothing_was_altered(small: Path, tmp_path: Path) -> None:
    assert found(small, tmp_path, lambda members: None) == []


def test_one_altered_metric_names_exactly_its_cell(small: Path, tmp_path: Path, edition: Archive) -> None:
    run_id, _ = readings(edition)[0]

    def alter(members: Members) -> None:
        said = json.loads(members[FILE])
        (run,) = [run for run in said["runs"] if run["run_id"] == run_id]
        run["metrics"]["test/top1"] += 1e-4
        members[FILE] = json.dumps(said)

    faults = found(small, tmp_path, alter)
    assert cells(faults) == {CELL}
    assert any(run_id in fault and "test/top1" in fault for fault in faults)


def test_one_deleted_run_names_exactly_its_cell(small: Path, tmp_path: Path, edition: Archive) -> None:
    run_id, _ = readings(edition)[1]

    def alter(members: Members) -> None:
        said = json.loads(members[FILE])
        said["runs"] = [run for run in said["runs"] if run["run_id"] != run_id]
        said["curves"].pop(run_id)
        members[FILE] = json.dumps(said)

    faults = found(small, tmp_path, alter)
    assert cells(faults) == {CELL}
    assert any(f"run {run_id} (seed 1) has a chain, and is on record no more" in fault for fault in faults)


@pytest.mark.parametrize("form", ["txt", "md", "tex", "csv", "json"])
def test_one_altered_digit_names_exactly_its_cell(small: Path, tmp_path: Path, form: str) -> None:
    def alter(members: Members) -> None:
        text = members[f"tables/table2.{form}"]
        row = text.index("permuted", text.index(ROW)) if form == "json" else text.index(ROW)
        row = text.index(f"{ROW},permuted") if form == "csv" else row
        at = text.index("95.8" if form not in {"csv", "json"} else "95.", row)
        members[f"tables/table2.{form}"] = f"{text[:at]}8{text[at + 1 :]}"

    assert cells(found(small, tmp_path, alter)) == {CELL}


@pytest.mark.slow
def test_lab_verify_passes_on_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab(["verify", str(EDITION / "record.zip")]) == 0
    assert "measured cells are as they were made" in capsys.readouterr().out

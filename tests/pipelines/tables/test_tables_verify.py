"""Tampering, for real: on an MLflow record in SQLite, and on files in every format."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import sqlite3
import zipfile
from pathlib import Path

import pytest

from lab.errors import LabError, RecordError
from lab.settings import Settings
from lab.tracking.mlflow import MlflowTracker
from pipelines.tables import Archive, build, pack, verify_archive, verify_folder, verify_record
from pipelines.tables.archive import MANIFEST
from pipelines.tables.colophon import FILE, Colophon
from tests.pipelines.tables.conftest import Laboratory

FORMATS = ("text", "md", "tex", "csv", "json", "html")
CASES = ("1 at start", "8 at start", "8 interleaved")
VALUES = {
    "1 at start": (0.81, 0.82, 0.83),
    "8 at start": (0.61, 0.65, 0.63),
    "8 interleaved": (0.91, 0.92, 0.945),
}
FILES = {form: f"table6.{form}" for form in FORMATS} | {"text": "table6.txt", "html": "report.html"}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Three complete cells and two that lack seeds, on record in SQLite, and Table 6 in every format."""
    home = tmp_path_factory.mktemp("original")
    laboratory = Laboratory(MlflowTracker(Settings.load({}, home=home)))
    laboratory.chained = True
    sweep = laboratory.sweep("table6")
    for case, values in VALUES.items():
        for seed, value in enumerate(values):
            curve = {"test/top1": [value - 0.1, value], "validation/top1": [value - 0.2, value - 0.1]}
            laboratory.run(sweep, case, seed, curve)
    laboratory.run(sweep, "2 at start", 0, 0.5)
    laboratory.close(sweep)
    for form in FORMATS:
        build(["table6"], laboratory.tracker, {"table6": sweep}, form, home / "out")  # type: ignore[arg-type]
    with sqlite3.connect(home / "record.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return laboratory, sweep, home


@pytest.fixture
def made(original, tmp_path):
    """A copy to do with as one likes."""
    laboratory, sweep, home = original
    shutil.copy(home / "record.db", tmp_path)
    shutil.copytree(home / "out", tmp_path / "out")
    other = Laboratory(MlflowTracker(Settings.load({}, home=tmp_path)))
    other.parents, other.chained = dict(laboratory.parents), True
    return other, sweep, tmp_path


def faults(made) -> list[str]:
    """What is found in the folder by the record as it is now."""
    laboratory, sweep, home = made
    return [str(f) for f in verify_folder(home / "out", laboratory.tracker, {"table6": sweep}).faults]


def cells(found: list[str]) -> set[str]:
    return {fault.partition(":")[0] for fault in found}


def change(home: Path, statement: str, *values: object) -> int:
    """Alter the record behind MLflow's back."""
    with sqlite3.connect(home / "record.db") as connection:
        return connection.execute(statement, values).rowcount


def test_nothing_is_found_where_nothing_was_touched(made) -> None:
    laboratory, sweep, home = made
    found = verify_folder(home / "out", laboratory.tracker, {"table6": sweep})
    assert found.faults == ()
    assert found.cells == 4
    assert found.without_chain == ()


@pytest.mark.parametrize("table", ["latest_metrics", "metrics"])
def test_an_altered_metric_names_exactly_its_cell(made, table: str) -> None:
    laboratory, sweep, home = made
    (run,) = laboratory.tracker.find([sweep.case("8 interleaved").with_seed(1).digest]).values()
    where = "WHERE run_uuid = ? AND key = 'test/top1' AND step = 2"
    assert change(home, f"UPDATE {table} SET value = value + 1e-9 {where}", run.run_id) == 1
    found = faults(made)
    assert cells(found) == {"table6 / 8 interleaved / top1"}
    assert all(run.run_id in fault for fault in found)


def test_an_altered_metric_is_found_without_any_table_by_the_chain(made) -> None:
    laboratory, sweep, home = made
    (run,) = laboratory.tracker.find([sweep.case("8 at start").with_seed(2).digest]).values()
    for table in ("latest_metrics", "metrics"):
        change(home, f"UPDATE {table} SET value = 0.99 WHERE run_uuid = ? AND step = 2", run.run_id)
    found = [str(f) for f in verify_record(["table6"], laboratory.tracker, {"table6": sweep}).faults]
    assert cells(found) == {"table6 / 8 at start / top1"}
    assert any("test/top1 0.99 at step 2 on record, it was measured as 0.63" in fault for fault in found)


def test_a_value_added_after_the_end_is_found_without_any_table_by_the_chain(made) -> None:
    laboratory, sweep, _ = made
    (run,) = laboratory.tracker.find([sweep.case("8 at start").with_seed(2).digest]).values()
    laboratory.tracker._client.log_metric(run.run_id, "test/top1", 0.99, step=3)
    found = [str(f) for f in verify_record(["table6"], laboratory.tracker, {"table6": sweep}).faults]
    assert cells(found) == {"table6 / 8 at start / top1"}
    assert any("has test/top1 0.99 at step 3 on record, where its chain has nothing" in f for f in found)


def test_a_chain_that_was_taken_away_from_a_run_that_had_one_is_missed(made, monkeypatch) -> None:
    laboratory, sweep, _ = made
    (run,) = laboratory.tracker.find([sweep.case("8 at start").with_seed(2).digest]).values()
    kept = laboratory.tracker.text
    monkeypatch.setattr(
        laboratory.tracker, "text", lambda run_id, file: None if run_id == run.run_id else kept(run_id, file)
    )
    found = verify_record(["table6"], laboratory.tracker, {"table6": sweep})
    assert found.without_chain == (run.run_id,)
    assert cells([str(f) for f in found.faults]) == {"table6 / 8 at start / top1"}


@pytest.mark.parametrize("entry", ['["csv", ["table6"]]', '["md", []]'])
def test_a_colophon_that_calls_a_file_something_else_does_not_hide_it(made, entry: str) -> None:
    _, _, home = made
    colophon = home / "out" / FILE
    said = json.loads(colophon.read_text())
    said["files"]["table6.md"] = json.loads(entry)
    colophon.write_text(json.dumps(said))
    table = home / "out" / "table6.md"
    table.write_text(table.read_text().replace("92.5 ±", "95.2 ±"))
    assert any("table6.md is said to be" in fault for fault in faults(made))


def test_an_altered_metric_that_no_cell_reads_names_the_cell_of_its_run(made) -> None:
    laboratory, sweep, home = made
    (run,) = laboratory.tracker.find([sweep.case("8 at start").with_seed(0).digest]).values()
    change(
        home,
        "UPDATE latest_metrics SET value = 0.5 WHERE run_uuid = ? AND key = 'validation/top1'",
        run.run_id,
    )
    assert cells(faults(made)) == {"table6 / 8 at start / top1"}


def test_a_deleted_run_names_exactly_its_cell(made) -> None:
    laboratory, sweep, home = made
    (run,) = laboratory.tracker.find([sweep.case("1 at start").with_seed(0).digest]).values()
    for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
        assert change(home, f"DELETE FROM {table} WHERE run_uuid = ?", run.run_id)
    found = faults(made)
    assert cells(found) == {"table6 / 1 at start / top1"}
    assert "is not on record as it was (seed 0 not run)" in found[0]


def test_a_run_deleted_in_the_ui_is_missed_too(made) -> None:
    laboratory, sweep, _ = made
    (run,) = laboratory.tracker.find([sweep.case("1 at start").with_seed(0).digest]).values()
    laboratory.tracker._client.delete_run(run.run_id)
    assert cells(faults(made)) == {"table6 / 1 at start / top1"}


def test_a_changed_origin_names_its_cell(made) -> None:
    laboratory, sweep, home = made
    (run,) = laboratory.tracker.find([sweep.case("1 at start").with_seed(0).digest]).values()
    change(home, "UPDATE tags SET value = 'beef' WHERE key = 'lab.commit' AND run_uuid = ?", run.run_id)
    assert cells(faults(made)) == {"table6 / 1 at start / top1"}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("case", ["1 at start", "8 interleaved"])
def test_one_altered_digit_of_a_written_table_names_exactly_its_cell(made, form: str, case: str) -> None:
    _, _, home = made
    file = home / "out" / FILES[form]
    text = file.read_text(encoding="utf-8")
    mean = {"1 at start": "82.0", "8 interleaved": "92.5"}[case]
    at = text.index(mean[:3] if form in ("csv", "json") else mean)
    file.write_text(text[:at] + "7" + text[at + 1 :], encoding="utf-8")
    found = faults(made)
    assert cells(found) == {f"table6 / {case} / top1"}
    assert FILES[form] in found[0]


@pytest.mark.parametrize("form", FORMATS)
def test_every_digit_of_every_row_belongs_to_a_cell(made, form: str) -> None:
    """The counted columns and the paper's too: 42.1M, 41.1M and 76.7."""
    _, _, home = made
    file = home / "out" / FILES[form]
    text = file.read_text(encoding="utf-8")
    for printed, column in (("76.7", "top1"), ("41.1M", "parameters")):
        at = text.index(printed)
        file.write_text(text[:at] + "9" + text[at + 1 :], encoding="utf-8")
        assert cells(faults(made)) == {f"table6 / 1 at start / {column}"}


def test_words_outside_of_cells_are_found_with_their_line(made) -> None:
    _, _, home = made
    file = home / "out" / "table6.md"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("Claims, tested", "Claims, never tested"), encoding="utf-8")
    (fault,) = faults(made)
    assert re.match(r"table6\.md line \d+ says", fault)
    file.unlink()
    assert faults(made) == ["table6.md is gone"]


def test_a_seed_that_was_run_since_is_no_tampering_but_is_told(made) -> None:
    laboratory, sweep, _ = made
    laboratory.run(sweep, "2 at start", 1, 0.52)
    (fault,) = faults(made)
    assert fault == "table6 / 2 at start / top1: seed 1 has been run since: make the tables again"


def test_an_unrelated_run_changes_no_byte_and_the_order_of_runs_neither(made, tmp_path) -> None:
    laboratory, sweep, home = made
    before = {path.name: path.read_bytes() for path in (home / "out").iterdir()}
    laboratory.run(laboratory.sweep("table7", changes={"batch_size": 8}), "sharing", 0, 0.1)
    change(
        home, "UPDATE runs SET start_time = 4000000000000 - start_time, end_time = 4000000000000 - start_time"
    )
    for form in FORMATS:
        build(["table6"], laboratory.tracker, {"table6": sweep}, form, tmp_path / "again")  # type: ignore[arg-type]
    after = {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert after.keys() == before.keys()
    assert [name for name in before if before[name] != after[name] and name != FILE] == []


def test_a_folder_that_lab_tables_did_not_write_is_told_as_that(made, tmp_path) -> None:
    laboratory, _, _ = made
    with pytest.raises(RecordError, match=r"has no colophon.json: make the tables with `lab tables --out"):
        verify_folder(tmp_path / "nothing", laboratory.tracker, {})
    with pytest.raises(RecordError, match="which is not a file beside it"):
        Colophon.parse('{"version": 1, "scale": "laptop", "files": {"../x": ["md", []]}}')


@pytest.fixture
def archive(made, tmp_path) -> Path:
    laboratory, sweep, _ = made
    pack(tmp_path / "paper.zip", ["table6"], laboratory.tracker, {"table6": sweep})
    return tmp_path / "paper.zip"


def test_an_archive_gives_the_same_bytes_without_the_record(made, archive, tmp_path) -> None:
    _, sweep, home = made
    (home / "record.db").unlink()
    snapshot = Archive.open(archive).colophon.snapshot
    for form in FORMATS:
        build(["table6"], snapshot, {"table6": sweep}, form, tmp_path / "elsewhere")  # type: ignore[arg-type]
    files = list(FILES.values())
    assert [
        name
        for name in files
        if (tmp_path / "elsewhere" / name).read_bytes() != (home / "out" / name).read_bytes()
    ] == []


def test_an_archive_is_the_same_bytes_twice_and_holds_what_it_says(made, archive, tmp_path) -> None:
    laboratory, sweep, _ = made
    pack(tmp_path / "again.zip", ["table6"], laboratory.tracker, {"table6": sweep})
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()
    opened = Archive.open(archive)
    run = laboratory.tracker.find([sweep.case("8 interleaved").with_seed(0).digest])
    (record,) = run.values()
    assert opened.colophon.snapshot.history(record.run_id, "test/top1") == [(1, 0.91 - 0.1), (2, 0.91)]
    assert opened.members[f"specs/{record.digest}.json"] == record.spec
    assert f"chains/{record.run_id}.json" in opened.members
    assert "torch==" in opened.members["lock.txt"]
    assert verify_archive(opened, {"table6": sweep}).faults == ()


def repacked(archive: Path, name: str, was: str, now: str) -> Path:
    """The archive with one member altered, by somebody who forgets the manifest."""
    other = archive.with_name("other.zip")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(other, "w") as new:
        for item in old.namelist():
            text = old.read(item).decode()
            assert item != name or was in text
            new.writestr(item, text.replace(was, now, 1) if item == name else text)
    return other


def test_an_altered_archive_names_the_cell(made, archive) -> None:
    _, sweep, _ = made
    table = repacked(archive, "tables/table6.md", "92.5 ±", "95.2 ±")
    found = [str(f) for f in verify_archive(Archive.open(table), {"table6": sweep}).faults]
    assert found[0] == "tables/table6.md is not what was packed"
    assert cells(found[1:]) == {"table6 / 8 interleaved / top1"}
    record = repacked(archive, FILE, "0.945", "0.954")
    found = [str(f) for f in verify_archive(Archive.open(record), {"table6": sweep}).faults]
    assert any("table6 / 8 interleaved / top1: run" in fault for fault in found)


@pytest.mark.parametrize("name", ["../evil.json", "/etc/passwd", "tables/../../x", "tables/a/b", "C:\\x"])
def test_an_archive_with_a_foreign_member_is_refused(archive, name: str) -> None:
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(name, "x")
    with pytest.raises(RecordError, match="which `lab pack` does not write"):
        Archive.open(archive)


def test_what_is_no_archive_is_told_in_one_line(tmp_path) -> None:
    (tmp_path / "a.zip").write_text("hello")
    with pytest.raises(RecordError, match="cannot be read as an archive of `lab pack`"):
        Archive.open(tmp_path / "a.zip")


def test_an_archive_with_damaged_bytes_is_told_in_one_line(archive) -> None:
    with zipfile.ZipFile(archive) as opened:
        item = opened.getinfo(FILE)
    data = bytearray(archive.read_bytes())
    start = item.header_offset + 30 + len(FILE)
    data[start : start + 20] = b"\xff" * 20
    archive.write_bytes(data)
    with pytest.raises(RecordError, match="cannot be read as an archive of `lab pack`"):
        Archive.open(archive)


def colophon_without(home: Path, file: str) -> None:
    colophon = home / "out" / FILE
    said = json.loads(colophon.read_text())
    del said["files"][file]
    colophon.write_text(json.dumps(said))


def test_a_table_that_was_taken_from_the_colophon_is_still_missed(made) -> None:
    _, _, home = made
    colophon_without(home, "table6.md")
    table = home / "out" / "table6.md"
    table.write_text(table.read_text().replace("92.5 ±", "95.2 ±"))
    assert faults(made) == [
        "table6.md is there, but colophon.json does not name it: nothing says what it was made from"
    ]


def test_a_file_that_was_put_beside_the_tables_is_told_apart_from_them(made) -> None:
    laboratory, sweep, home = made
    (home / "out" / "table7.csv").write_text("table,row\n")
    (home / "out" / "figure5.1.svg").write_text("<svg/>")
    (home / "out" / "notes.txt").write_text("mine")
    found = verify_folder(home / "out", laboratory.tracker, {"table6": sweep})
    assert [str(f) for f in found.faults] == [
        "table7.csv is there, but colophon.json does not name it: nothing says what it was made from"
    ]
    assert found.others == ("figure5.1.svg", "notes.txt")


def test_a_table_that_was_put_into_an_archive_is_found_though_the_manifest_was_made_anew(
    made, archive
) -> None:
    _, sweep, _ = made
    other = archive.with_name("other.zip")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(other, "w") as new:
        texts = {name: old.read(name).decode() for name in old.namelist()} | {"tables/table7.md": "| 1 |"}
        hashes = {n: hashlib.sha256(t.encode()).hexdigest() for n, t in texts.items() if n != MANIFEST}
        for name, text in (texts | {MANIFEST: json.dumps(hashes)}).items():
            new.writestr(name, text)
    found = [str(f) for f in verify_archive(Archive.open(other), {"table6": sweep}).faults]
    assert found == ["tables/table7.md is there, but colophon.json does not name it"]


ODD = (None, 7, -1.5, "x", [], {}, ["x"], {"x": "y"}, True, float("inf"))


def places(value: object, here: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Every place in JSON data, the innermost too."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here] * bool(here) + [place for key, each in inside for place in places(each, (*here, key))]


def test_whatever_a_colophon_says_in_place_of_something_is_told_in_one_line_or_found(made) -> None:
    """Raises nothing but what `lab` prints as one line."""
    laboratory, sweep, home = made
    colophon = home / "out" / FILE
    text = colophon.read_text()
    text = json.dumps(json.loads(text) | {"files": {"table6.csv": ["csv", ["table6"]]}})
    at = places(json.loads(text))
    told = []
    for place in random.Random(0).sample(at, 25) + [place for place in at if len(place) == 1]:
        for odd in random.Random(str(place)).sample(ODD, 3):
            said = json.loads(text)
            inner = said
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = odd
            colophon.write_text(json.dumps(said))
            try:
                verify_folder(home / "out", laboratory.tracker, {"table6": sweep})
            except LabError as fault:
                told.append(str(fault))
    assert told
    assert max(map(len, told)) < 500


@pytest.mark.parametrize(
    "text",
    ["", "[]", "7", "{}", '{"version": 1}', '{"version": 1, "files": {}}', "[" * 100_000, "\x00", "null"],
    ids=["empty", "list", "number", "object", "bare", "no scale", "deep", "no JSON", "null"],
)
def test_what_is_no_colophon_is_told_in_one_line(tmp_path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(RecordError, match="make the tables again") as told:
        Colophon.of(tmp_path)
    assert len(str(told.value)) < 300


def test_a_colophon_that_is_no_text_is_told_in_one_line(tmp_path) -> None:
    (tmp_path / FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordError, match="cannot be read"):
        Colophon.of(tmp_path)


def test_an_archive_is_never_written_larger_than_it_could_be_read(made, monkeypatch, tmp_path) -> None:
    laboratory, sweep, _ = made
    monkeypatch.setattr("pipelines.tables.archive.LARGEST", 10_000)
    with pytest.raises(RecordError, match=r"GB can be read again: pack fewer exhibits"):
        pack(tmp_path / "large.zip", ["table6"], laboratory.tracker, {"table6": sweep})
    assert not (tmp_path / "large.zip").exists()


def test_an_archive_that_is_too_large_says_how_large(archive, monkeypatch) -> None:
    monkeypatch.setattr("pipelines.tables.archive.LARGEST", 10_000)
    with pytest.raises(RecordError, match=r"is 0\.\d GB unpacked, more than the 0\.0 GB"):
        Archive.open(archive)

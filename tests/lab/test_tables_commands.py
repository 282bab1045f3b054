"""What somebody sees who has run nothing yet, or has mistyped: one line that says what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lab.cli import main as lab


@pytest.fixture(autouse=True)
def empty_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing is there, not even the database; commands that are refused do not make one."""
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture(scope="module")
def nothing_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record without a run."""
    return tmp_path_factory.mktemp("nothing")


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = lab(list(words))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("words", "way_out"),
    [
        ("tables tabel6", "no table 'tabel6'. Did you mean 'table6'?"),
        (
            "tables perceiver",
            "'perceiver' is a sweep and no table: a page shows searches, `lab tables",
        ),
        ("tables --from gone.zip", "there is no gone.zip"),
        ("tables table6 --format png", "give a folder: `lab tables table6 --format png --out report`"),
        ("tables --format svg", "give a folder: `lab tables --format svg --out report`"),
        ("tables table6 --out here.txt", "--out here.txt is a file: give a folder"),
        ("claims --from gone.zip", "there is no gone.zip"),
        ("verify tabel6", "Did you mean 'table6'?"),
        ("verify gone.zip", "there is no folder and no archive 'gone.zip'"),
        ("verify some/where", "there is no folder and no archive 'some/where'"),
        ("pack paper", "call it paper.zip"),
        ("pack paper.zip tabel6", "Did you mean 'table6'?"),
        ("audit tabel6", "Did you mean 'table6'?"),
        ("fill tabel6", "Did you mean 'table6'?"),
        ("fill table6/9/top1", "no cell 'table6 / 9 / top1'"),
    ],
)
def test_a_mistake_is_one_line_with_the_way_out_before_any_work(
    capsys: pytest.CaptureFixture[str], empty_home: Path, words: str, way_out: str
) -> None:
    Path("here.txt").write_text("mine")
    code, out, err = said(capsys, *words.split())
    assert (code, out) == (2, "")
    assert way_out in err
    assert err.count("\n") == 1
    assert not empty_home.exists()


def test_a_page_is_refused_to_a_terminal_and_given_to_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, nothing_run: Path
) -> None:
    monkeypatch.setenv("LAB_HOME", str(nothing_run))
    with monkeypatch.context() as terminal:
        terminal.setattr(sys.stdout, "isatty", lambda: True)
        code, out, err = said(capsys, "tables", "table6", "--format", "html")
    assert (code, out) == (2, "")
    assert "`lab tables table6 --format html --out report`" in err
    code, out, _ = said(capsys, "tables", "table6", "--format", "html")
    assert code == 0
    assert out.startswith("<!doctype html>")


def test_where_nothing_was_run_every_command_says_so_and_what_would(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, nothing_run: Path
) -> None:
    monkeypatch.setenv("LAB_HOME", str(nothing_run))
    code, out, _ = said(capsys, "tables", "table6")
    assert code == 0
    assert out.count("lab sweep table6 --scale laptop") == 1
    assert "nothing of it has been run at laptop scale: `lab sweep table6 --scale laptop`, 35 runs, " in out
    code, out, _ = said(capsys, "verify", "table6")
    assert code == 0
    assert out == "nothing of these tables has been run at laptop scale, so there is nothing to verify.\n"
    code, _, err = said(capsys, "audit", "table6")
    assert code == 2
    assert "`lab fill table6 --scale laptop`" in err
    code, _, err = said(capsys, "compare", "3f2a")
    assert code == 2
    assert "no run on record yet" in err

"""The paper's values as data."""

import re
from pathlib import Path

import pytest

from lab.errors import DataError, UnknownName
from pipelines.tables import paper

TEXT = Path(paper.__file__).with_name("paper.yaml").read_text(encoding="utf-8")


def test_the_main_result_is_quoted_with_its_place_and_provenance() -> None:
    quoted = paper.quote("T6", "top1", n_cross_attends=8, placement="interleaved")
    assert (quoted.value, quoted.text, quoted.where, quoted.status) == (78.0, "78.0", "Table 6", "seen")
    assert quoted.sources == ("v2md", "gigli")


@pytest.mark.parametrize(
    ("column", "text"), [("params_M", "326.2M"), ("flops_G", "707.2B"), ("valid_top1", "72.9")]
)
def test_counts_are_written_with_the_suffix_the_paper_prints(column: str, text: str) -> None:
    assert paper.quote("T7", column, model="No weight sharing").text == text


def test_the_misprinted_parameter_count_says_so_where_it_is_shown() -> None:
    misprint = paper.quote("T6", "params_M", n_cross_attends=1, placement="at_start")
    assert misprint.value == 41.1
    assert "42,135,859" in misprint.note
    assert paper.quote("T6", "params_M", n_cross_attends=1, placement="interleaved").note == ""


def test_the_raw_audio_inconsistency_is_stated_on_that_cell_alone() -> None:
    assert "38.4" in paper.quote("T3", "audio", model="Perceiver (raw audio)").note
    assert paper.quote("T3", "audio", model="Perceiver (mel spectrogram)").note == ""


def test_a_row_that_did_not_fit_into_memory_has_no_number() -> None:
    oom = paper.quote("T5", "top1", n_cross_attends=12)
    assert (oom.value, oom.text) == (None, "OOM")


def test_every_value_of_every_table_can_be_quoted() -> None:
    for table in paper.load().tables.values():
        for row in table.rows:
            key = dict(zip(table.columns, row, strict=True))
            assert [table.quote(column, **key).text for column in table.columns]


def test_every_remark_reaches_the_value_it_is_about() -> None:
    remarks = [remark for table in paper.load().tables.values() for remark in table.remarks]
    assert len(remarks) == TEXT.count("- {table: ")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("- [4, 39.4, 173.1, 12.7]", "- [4, 39.4, 173.1]", "3 values for 4 columns"),
        ("sources: [v2md, gigli], cross_check", "sources: [v2md, gossip], cross_check", "gossip"),
        ("provenance: {status: seen, sources: [v2md, slides, gigli, ledger]}",
         "provenance: {status: certain, sources: [v2md]}", "certain"),
        ("- {table: T5,", "- {table: T55,", "T55"),
        ("row: {n_cross_attends: 12}", "row: {n_cross_attends: 13}", "0 rows"),
        ("text_only_ablations:", "text_only_ablation:", "unknown keys"),
    ],
)  # fmt: skip
def test_a_slip_in_the_data_is_refused_with_its_name(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises((DataError, UnknownName), match=re.escape(message)):
        paper.Paper.parse(TEXT.replace(old, new, 1))


def test_an_unknown_table_or_column_is_answered_with_the_near_miss() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'T6'"):
        paper.quote("T66", "top1")
    with pytest.raises(UnknownName, match="Did you mean 'flops_G'"):
        paper.quote("T6", "flops", n_cross_attends=8, placement="interleaved")

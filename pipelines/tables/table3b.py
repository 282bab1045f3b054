"""Whole modalities dropped in training: an ablation that section 4.2 tells in words, with its numbers."""

from __future__ import annotations

from lab import Ablation
from pipelines.tables.claims import Claim, contrast
from pipelines.tables.paper import Quoted, quote
from pipelines.tables.plots import Panel, bars
from pipelines.tables.table import Column, ResultsTable, Row, measure, setting

SWEEP = "table3b"
PAPER_ROWS: dict[str, dict[str, object]] = {
    "mel, no dropout": {"audio_repr": "mel", "video_dropout_p": 0.0},
    "mel, video dropout 0.3": {"audio_repr": "mel", "video_dropout_p": 0.3, "specaugment": "on"},
    "raw, no dropout": {"audio_repr": "raw", "video_dropout_p": 0.0},
    "raw, video dropout 0.3": {"audio_repr": "raw", "video_dropout_p": 0.3},
    "mel, tuned": {"audio_repr": "mel", "specaugment": "off"},
}
COLUMNS = (
    Column("map", "Audio and video", "higher"),
    Column("video_dropout_p", "Video dropped"),
    Column("spectrogram_dropout_p", "Sound dropped"),
    Column("specaugment", "SpecAugment"),
)


def table(sweep: Ablation) -> ResultsTable:
    """Mean average precision on the test split with and without video dropout, and tuned."""
    return ResultsTable(
        name="table3b",
        title="Section 4.2 · Video dropout",
        caption="Mean average precision (%) of the fusion, and how often training drops a whole modality of "
        "an example.",
        sweep=sweep.name,
        scale=sweep.scale,
        setting=setting(sweep),
        columns=COLUMNS,
        rows=tuple(_row(sweep, label) for label in PAPER_ROWS),
        claims=(
            *(
                Claim(
                    f"Dropping the whole video helps the fusion with {words}.",
                    "section 4.2",
                    contrast(
                        ("+", f"{sound}, video dropout 0.3", "map"), ("-", f"{sound}, no dropout", "map")
                    ),
                )
                for sound, words in (("mel", "a spectrogram"), ("raw", "raw audio"))
            ),
            Claim(
                "Dropping the spectrogram too, without SpecAugment, is better still.",
                "section 4.2",
                contrast(("+", "mel, tuned", "map"), ("-", "mel, video dropout 0.3", "map")),
            ),
        ),
        notes=("That the tuned run still drops the video is implied, not stated.",),
        stands_for="AudioSet",
    )


def plot(filled: ResultsTable) -> list[Panel]:
    """A bar for each way of dropping, ours and the paper's."""
    return bars(filled, ("map",))


def _row(sweep: Ablation, label: str) -> Row:
    def paper(column: str) -> Quoted:
        return quote("T3b", column, **PAPER_ROWS[label])

    return Row(
        label,
        (
            measure(sweep, label, "test/map", paper("av_map")),
            *(paper(column.key) for column in COLUMNS[1:]),
        ),
    )

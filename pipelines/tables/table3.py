"""Table 3: AudioSet from sound, from video and from both."""

from __future__ import annotations

from lab import Ablation
from pipelines.tables.cell import Cell
from pipelines.tables.claims import Claim, contrast
from pipelines.tables.paper import load, quote
from pipelines.tables.plots import Panel, bars
from pipelines.tables.table import Column, ResultsTable, Row, measure, setting

SWEEP = "table3"
COLUMNS = (
    Column("audio", "Audio", "higher"),
    Column("video", "Video", "higher"),
    Column("audio_video", "Audio and video", "higher"),
)
CASES: dict[str, dict[str, str]] = {
    "CNN-14 (no balancing & no mixup) (Kong et al., 2020)": {"audio": "CNN-14 mel spectrogram"},
    "Attention AV-fusion (Fayek & Kumar, 2020)": {"audio_video": "Late fusion mel spectrogram and video"},
    "Perceiver (raw audio)": {
        "audio": "Perceiver raw audio",
        "video": "Perceiver video",
        "audio_video": "Perceiver raw audio and video",
    },
    "Perceiver (mel spectrogram)": {
        "audio": "Perceiver mel spectrogram",
        "video": "Perceiver video",
        "audio_video": "Perceiver mel spectrogram and video",
    },
    "Perceiver (mel spectrogram - tuned)": {"audio_video": "Perceiver mel spectrogram and video, tuned"},
}
"""Printed row -> column -> the case that measures it; what is not here is quoted only."""


def table(sweep: Ablation) -> ResultsTable:
    """Mean average precision on the test split for every row that the paper prints."""
    printed = load().table("T3")
    labels = [str(row[printed.columns.index("model")]) for row in printed.rows]
    return ResultsTable(
        name="table3",
        title="Table 3 · AudioSet",
        caption="Mean average precision (%) from sound, from video and from both. Rows without a number of "
        "ours are quoted from the literature; those above the Perceivers that have one are rivals of ours.",
        sweep=sweep.name,
        scale=sweep.scale,
        setting=setting(sweep),
        columns=COLUMNS,
        rows=tuple(_row(sweep, label) for label in labels),
        claims=(
            *(
                Claim(
                    f"{words.capitalize()}, both senses are better than {sense} alone.",
                    "Table 3",
                    contrast(("+", row, "audio_video"), ("-", row, sense)),
                )
                for words, row in (
                    ("with raw audio", "Perceiver (raw audio)"),
                    ("with a spectrogram", "Perceiver (mel spectrogram)"),
                )
                for sense in ("audio", "video")
            ),
            Claim(
                "Sound alone is better than video alone.",
                "Table 3",
                contrast(
                    ("+", "Perceiver (mel spectrogram)", "audio"),
                    ("-", "Perceiver (mel spectrogram)", "video"),
                ),
            ),
        ),
        notes=(
            "Video alone is one run, printed in both Perceiver rows.",
            "The late fusion's streams are assumed: CNN-14 for the sound and the Perceiver for the video.",
            "The paper states neither its latents nor its spectrogram nor how it optimised.",
        ),
        stands_for="AudioSet",
    )


def plot(filled: ResultsTable) -> list[Panel]:
    """Sound alone against both senses, ours and the paper's."""
    return bars(filled, ("audio", "audio_video"), rows=list(CASES))


def _row(sweep: Ablation, label: str) -> Row:
    def cell(column: str) -> Cell | None:
        printed = quote("T3", column, model=label)
        case = CASES.get(label, {}).get(column)
        if case is not None:
            return measure(sweep, case, "test/map", printed if printed.value is not None else None)
        return printed if printed.value is not None else None

    return Row(label, tuple(cell(column.key) for column in COLUMNS))

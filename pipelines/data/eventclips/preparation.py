"""EventClips as shards of FLAC and mp4, from lists and files in AudioSet's form."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pipelines.data import generated
from pipelines.data.audioset import preparation as audioset
from pipelines.data.audioset.labels import INDICES
from pipelines.data.build import Prepared, Progress, silent
from pipelines.data.counter import Draws
from pipelines.data.eventclips.events import EVENTS
from pipelines.data.eventclips.recordings import SECONDS, mp4, recording, wav
from pipelines.data.plan import Plan

VERSION = 2
CLIPS = {"balanced_train_segments.csv": 2400, "eval_segments.csv": 600}
LOST = 50
"""One clip in so many is listed and not there, as videos that were taken down."""


def prepare(root: str, source: str | None = None, progress: Progress = silent) -> Prepared:
    """Generates EventClips and writes it under `root`. There is no source to name."""
    write = partial(write_clips, progress=progress)
    return generated.prepared(
        root, "eventclips", VERSION, source=source, write=write, plan=_plan, progress=progress
    )


def write_clips(folder: Path, progress: Progress = silent) -> None:
    """Writes the list of classes, the lists of segments, and a wav and an mp4 of each: the same bytes every
    time.
    """
    classes = [f'{index},{_mid(index)},"{event.name}"' for index, event in enumerate(EVENTS)]
    _write(folder / INDICES, ["index,mid,display_name", *classes])
    for where, (name, count) in enumerate(CLIPS.items()):
        place = folder / name.removesuffix("_segments.csv")
        place.mkdir()
        lines = []
        for number in range(count):
            progress("generate eventclips", number, count)
            draws = Draws.of(VERSION, where, number)
            made = recording(draws)
            ytid = f"{'-' if number % 10 == 0 else 'e'}vent{where}{number:05d}"
            lines.append(f'{ytid}, 0.000, {SECONDS:.3f}, "{",".join(map(_mid, made.labels))}"')
            if number % LOST:
                (place / f"{ytid}_0.wav").write_bytes(wav(made, draws))
                (place / f"{ytid}_0.mp4").write_bytes(mp4(made, draws))
        heading = [f"# EventClips {name}", f"# num_ytids={count}, num_segs={count}"]
        _write(folder / name, [*heading, "# YTID, start_seconds, end_seconds, positive_labels", *lines])


def _plan(folder: Path) -> Plan:
    return audioset.plan(folder, folder / "unpacked", classes=len(EVENTS), held_out=6)


def _mid(label: int) -> str:
    return f"/m/event{label}"


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))

"""The stand-ins: generated in the raw forms of the real data sets, the same bytes every time."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import trimesh
from PIL import Image

from lab.errors import MissingDataset, SpecError
from lab.spec import Dataset, Source
from pipelines.data import EventClips, MeshZoo, PairScenes, prepare
from pipelines.data.counter import Draws
from pipelines.data.eventclips import preparation as clips
from pipelines.data.eventclips import recordings, sounds, sprites
from pipelines.data.eventclips.events import EVENTS, PRESENT, Event
from pipelines.data.meshzoo import preparation as meshes
from pipelines.data.pairscenes import preparation as images
from pipelines.data.pairscenes import scenes

DATA = {"pairscenes": PairScenes(), "meshzoo": MeshZoo(), "eventclips": EventClips()}
NAMES = tuple(DATA)
WRITERS: dict[str, Callable[[Path], None]] = {
    "pairscenes": images.write_images,
    "meshzoo": meshes.write_meshes,
    "eventclips": clips.write_clips,
}


@pytest.fixture(scope="module", autouse=True)
def few() -> object:
    """A fraction of the examples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "OF_EACH", {"train": 4, "validation": 1, "test": 2})
        patch.setattr(meshes, "OF_EACH", {"train": 6, "test": 2})
        patch.setattr(clips, "CLIPS", {"balanced_train_segments.csv": 40, "eval_segments.csv": 12})
        yield


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The raw files of each stand-in."""
    folders = {name: tmp_path_factory.mktemp(name) for name in NAMES}
    for name, write in WRITERS.items():
        write(folders[name])
    return folders


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("data"))
    for name in NAMES:
        prepare(name, folder)
    return folder


def content(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.mark.parametrize("name", NAMES)
def test_raw_files_have_the_same_bytes_every_time(name: str, raw: dict[str, Path], tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    assert content(tmp_path) == content(raw[name])
    assert len(content(tmp_path)) >= 60


@pytest.mark.parametrize("name", NAMES)
def test_shards_have_the_same_bytes_every_time_and_nothing_else_is_left(
    name: str, root: str, tmp_path: Path
) -> None:
    again = prepare(name, str(tmp_path))
    assert again.manifest.fingerprint == DATA[name].open(root).fingerprint
    assert prepare(name, str(tmp_path)).already
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("pairscenes", {"train": 36, "validation": 9, "test": 18}),
        ("meshzoo", {"train": 50, "validation": 10, "test": 20}),
        ("eventclips", {"train": 33, "validation": 6, "test": 11}),
    ],
)
def test_batches_have_the_promised_shapes(root: str, name: str, counts: dict[str, int]) -> None:
    data: Dataset = DATA[name]
    source = data.open(root)
    assert isinstance(source, Source)
    assert {split: source.size(split) for split in counts} == counts
    batch = next(iter(source.batches("train", batch_size=10, seed=0, epoch=0)))
    shapes = data.input_shape
    if isinstance(batch.inputs, dict):
        assert {name: part.shape[1:] for name, part in batch.inputs.items()} == shapes
        assert batch.targets.shape == (10, data.num_classes)
    else:
        assert batch.inputs.shape == (10, *shapes)
        assert batch.targets.max() < data.num_classes


@pytest.mark.parametrize("name", NAMES)
def test_a_source_is_refused_and_an_unprepared_stand_in_says_what_to_run(name: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=f"{name} is generated and made from no source.*leave it out"):
        prepare(name, str(tmp_path), source="somewhere")
    with pytest.raises(MissingDataset, match=f"lab data prepare {name}"):
        DATA[name].open(str(tmp_path))


# PairScenes


@pytest.mark.parametrize("label", range(9))
def test_discs_are_where_the_class_says_apart_and_inside_what_evaluation_sees(label: int) -> None:
    relations = scenes.CLASSES[label].replace("warm_", "").replace("green_", "").split("-")
    for number in range(40):
        discs = np.array(scenes.places(label, Draws.of(1, 2, number)))
        for relation, (first, second) in zip(relations, (discs[:2], discs[2:]), strict=True):
            down, right = first - second
            seen = "beside" if abs(right) > abs(down) else "above" if down < 0 else "below"
            assert relation.startswith(seen)
        distances = np.linalg.norm(discs[:, None] - discs[None], axis=2)[~np.eye(4, dtype=bool)]
        assert distances.min() > 2 * scenes.RADIUS
        assert discs.min() - scenes.RADIUS >= 3
        assert discs.max() + scenes.RADIUS <= 3 + 32


def test_every_class_has_as_much_of_every_colour() -> None:
    """Between images shares differ as backgrounds do; between classes no more than chance would have it."""
    seen = []
    for number in range(30):
        for label in range(9):
            with Image.open(io.BytesIO(scenes.scene(label, Draws.of(3, label, number)))) as image:
                hue, saturation, _ = np.moveaxis(np.asarray(image.convert("HSV")), 2, 0)
            bins = np.bincount(hue[saturation > 150] // 32, minlength=8)
            seen.append(bins)
    shares = np.array(seen, float).reshape(30, 9, 8)
    within = shares.std(axis=0, ddof=1).mean(axis=0) / np.sqrt(30)
    assert (shares.mean(axis=0).std(axis=0, ddof=1) < 2 * within).all()


# MeshZoo


def test_meshes_are_off_files_that_another_reader_reads(raw: dict[str, Path]) -> None:
    files = sorted(raw["meshzoo"].rglob("*.off"))
    texts = [file.read_bytes() for file in files]
    assert {file.parent.name for file in files} == {"train", "test"}
    unbroken = [text for text in texts if not text.startswith((b"OFF\n", b"OFF\r\n"))]
    assert 0.3 < len(unbroken) / len(texts) < 0.7
    assert any(b"\r\n" in text for text in texts)
    # It reads no faces of more than four corners, which what is round has.
    for file in (file for file in files if file.parts[-3] in {"block", "chair", "pyramid", "table"}):
        mesh = trimesh.load(file, process=False)
        assert mesh.area > 0
        assert np.ptp(mesh.vertices, axis=0).min() > 0.3


# EventClips


def test_clips_are_listed_as_audioset_lists_them_and_some_are_lost(raw: dict[str, Path]) -> None:
    folder = raw["eventclips"]
    with (folder / "balanced_train_segments.csv").open() as file:
        heading = [next(file) for _ in range(3)]
        rows = list(csv.reader(file, skipinitialspace=True))
    assert all(line.startswith("#") for line in heading)
    with (folder / "class_labels_indices.csv").open() as file:
        mids = [row["mid"] for row in csv.DictReader(file)]
    assert len(rows) == 40
    assert {mid for *_, labels in rows for mid in labels.split(",")} == set(mids)
    assert any(row[0].startswith("-") for row in rows)
    lost = [row for row in rows if not list(folder.rglob(f"{row[0]}_*"))]
    assert len(lost) == 1
    rates = {soundfile.info(file).samplerate for file in folder.rglob("*.wav")}
    assert rates == {44_100, 48_000}


PAIRS = list(zip(EVENTS[::2], EVENTS[1::2], strict=True))
HEARD = [pair for pair in PAIRS if pair[0].sound]
SEEN = [pair for pair in PAIRS if pair[0].hue is not None]


def named(event: object) -> str:
    return event.name if isinstance(event, Event) else str(event)


@pytest.mark.parametrize(("one", "other"), HEARD, ids=named)
def test_sounds_of_a_pair_differ_in_the_order_of_time_alone(one: Event, other: Event) -> None:
    """Equal spectra, and what rises in one, or fades, falls in the other, or swells."""
    forwards, backwards = (sounds.sound(each, 19_200, 48_000, Draws.of(0, 0, 1)) for each in (one, other))
    powers = [np.abs(np.fft.rfft(each)) ** 2 for each in (forwards, backwards)]
    np.testing.assert_allclose(*powers, atol=1e-6 * powers[0].max())
    trends = [_trend(each) for each in (forwards, backwards)]
    assert min(map(abs, trends)) > 0.7
    assert trends[0] * trends[1] < 0


def _trend(sound: np.ndarray) -> float:
    """Correlation with time of the spectrum's centre, or of the level where the spectrum stays as it is."""
    spectra = np.abs(np.fft.rfft(sound.reshape(20, 960))) ** 2
    level = np.log(spectra.sum(1))
    centre = (spectra * np.arange(481)).sum(1) / spectra.sum(1)
    what = level if np.ptp(level) > 1 else centre
    return float(np.corrcoef(what, np.arange(20))[0, 1])


@pytest.mark.parametrize(("one", "other"), SEEN, ids=named)
def test_sprites_of_a_pair_differ_in_the_direction_of_movement_alone(one: Event, other: Event) -> None:
    up, down = (sprites.film([each], 10, Draws.of(1, 1, 0)) for each in (one, other))
    np.testing.assert_array_equal(up, down[::-1])
    still = sprites.film([], 10, Draws.of(1, 1, 0)).astype(int)
    rows = np.abs(up - still).sum(axis=(2, 3))
    heights = (rows * np.arange(sprites.SIDE)).sum(1) / rows.sum(1)
    assert (np.diff(heights) < -1).all()


def test_events_are_heard_seen_or_both_as_they_say() -> None:
    made = [clips.recording(Draws.of(5, 0, number)) for number in range(4000)]
    of = {told: [EVENTS.index(event) for event in EVENTS if event.told == told] for told in TOLD}
    assert all(len(labels) == 2 for labels in of.values())
    for told, labels in of.items():
        for label in labels:
            there = [label in each.labels for each in made]
            heard = [EVENTS[label] in each.heard for each in made]
            seen = [EVENTS[label] in each.seen for each in made]
            assert there == [TOLD[told](*parts) for parts in zip(heard, seen, strict=True)]
            assert any(heard) == (told != "seen")
            assert any(seen) == (told != "heard")
    # Clips without any event are drawn again: with eight classes one in seven.
    share = np.mean([len(each.labels) for each in made]) / len(EVENTS)
    assert share == pytest.approx(PRESENT / (1 - (1 - PRESENT) ** len(EVENTS)), abs=0.01)


TOLD: dict[str, Callable[[bool, bool], bool]] = {
    "heard": lambda heard, seen: heard,
    "seen": lambda heard, seen: seen,
    "either": lambda heard, seen: heard or seen,
    "both": lambda heard, seen: heard and seen,
}


def test_every_sound_is_within_full_scale_and_audible() -> None:
    for event, _ in HEARD:
        heard = sounds.sound(event, 19_200, 48_000, Draws.of(0, 0, 7))
        assert np.abs(heard).max() <= 2
        assert heard.std() > 0.1


def test_every_event_lasts_as_long_as_a_clip() -> None:
    """What averages cannot tell must be in any span of it."""
    film = sprites.film([EVENTS[2]], round(recordings.SECONDS * 25), Draws.of(2, 2, 2)).astype(int)
    assert (np.abs(np.diff(film, axis=0)).sum((1, 2, 3)) > 0).all()

"""AudioSet in each form people hold it in, small, with what is known to be wrong with it."""

import csv
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from lab.errors import DataError
from pipelines.data import audioset
from pipelines.data.audio import read as audio
from pipelines.data.audioset import labels
from pipelines.data.build import Prepared
from pipelines.data.shards import ShardReader
from pipelines.data.storage import Directory
from pipelines.data.video import read as video
from tests.pipelines.data.recordings import beep, chirp, encoded, mp4, number, stripes

NAMES = ["Speech", "Male speech, man speaking", 'Tick-"tock"', "Dog"]
MIDS = ["/m/09x0r", "/m/05zppz", "/t/dd00003", "/m/0bt9lr"]
Segment = tuple[str, float, float, str]

TRAIN: list[Segment] = [
    ("--4gqARaEJE", 0.0, 10.0, "/m/09x0r,/m/05zppz"),
    ("-0RWZT-miFs", 420.0, 430.0, "/m/0bt9lr"),
    ("AbCdEfGhI_1", 30.0, 40.0, "/t/dd00003,/m/09x0r"),
    ("Yabcdefghij", 12.5, 20.0, "/m/0bt9lr,/t/dd00003"),
    ("zzzzzzzzzz_", 0.0, 10.0, "/m/05zppz"),
]
EVAL: list[Segment] = [
    ("evalevaleva", 5.0, 15.0, "/m/09x0r"),
    ("-eval_eval-", 100.0, 110.0, "/m/0bt9lr,/m/05zppz"),
]


def class_list(mids: Sequence[str] = MIDS, names: Sequence[str] = NAMES) -> str:
    """As Google publishes it: names in quotes only where they hold commas, quotes doubled."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["index", "mid", "display_name"])
    writer.writerows([index, mid, name] for index, (mid, name) in enumerate(zip(mids, names, strict=True)))
    return text.getvalue()


def segment_list(segments: Sequence[Segment], promised: int | None = None) -> str:
    """As Google publishes it: three lines of comment, spaces behind commas, labels in quotes."""
    count = len(segments) if promised is None else promised
    lines = [f'{ytid}, {begin:.3f}, {end:.3f}, "{mids}"' for ytid, begin, end, mids in segments]
    return "\n".join(
        [
            "# Segments csv created Sun Mar  5 10:54:31 2017",
            f"# num_ytids={count}, num_segs={count}, num_unique_labels=4, num_positive_labels=9",
            "# YTID, start_seconds, end_seconds, positive_labels",
            *lines,
            "",
        ]
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "class_labels_indices.csv").write_text(class_list())
    (folder / "balanced_train_segments.csv").write_text(segment_list(TRAIN))
    (folder / "eval_segments.csv").write_text(segment_list(EVAL))
    return folder


def wav(mark: float, seconds: float = 1.0, rate: int = 48_000) -> bytes:
    """A constant that tells the clip."""
    return encoded(np.full(round(rate * seconds), mark, np.float32), rate)


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def all_wavs(form: Callable[[Segment], str]) -> dict[str, bytes]:
    """One file for each segment, named in some way; sample values tell the place in the lists."""
    return {form(each): wav((place + 1) / 16) for place, each in enumerate(TRAIN + EVAL)}


def prepare(source: Path, root: Path, **options: Any) -> Prepared:
    return audioset.prepare_as("audioset", 1, str(root), str(source), classes=None, **options)


def rows(root: Path) -> dict[str, dict[str, Any]]:
    """Split -> key -> row."""
    directory = Directory.at(str(root), "audioset")
    manifest = audioset.prepare_as("audioset", 1, str(root), "unused").manifest
    stored: dict[str, dict[str, Any]] = {}
    for split in manifest.splits:
        for file in split.files:
            reader = ShardReader(directory, file, manifest.schema)
            for group in range(len(file.row_groups)):
                for row in reader.read(group, list(manifest.schema)):
                    stored.setdefault(split.name, {})[row["key"]] = row
    return stored


def everything(root: Path) -> dict[str, Any]:
    return {key: row for split in rows(root).values() for key, row in split.items()}


def heard(row: Mapping[str, Any]) -> float:
    """Which of `all_wavs` a row holds."""
    return round(float(audio.segment(row["audio"], 100, 1)[0]) * 16) - 1


NAMINGS: dict[str, Callable[[Segment], str]] = {
    "start in seconds": lambda s: f"wavs/{s[0]}_{s[1]:g}.wav",
    "start with decimals": lambda s: f"wavs/{s[0]}_{s[1]:.3f}.wav",
    "start in ms": lambda s: f"{s[0]}_{s[1] * 1000:.0f}.wav",
    "start and end": lambda s: f"audio/train/{s[0]}_{s[1] * 1000:.0f}_{s[2] * 1000:.0f}.wav",
    "PANNs": lambda s: f"Y{s[0]}.wav",
    "id alone": lambda s: f"{s[0]}.wav",
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_clips_are_found_under_each_of_their_usual_names(naming: str, source: Path, tmp_path: Path) -> None:
    put(source, all_wavs(NAMINGS[naming]))
    prepare(source, tmp_path)
    stored = everything(tmp_path)
    for place, (ytid, begin, _, mids) in enumerate(TRAIN + EVAL):
        row = stored[f"{ytid}_{begin * 1000:.0f}"]
        assert heard(row) == place
        assert row["labels"] == sorted(MIDS.index(mid) for mid in mids.split(","))
        assert (row["video"], row["frames"], row["duration"]) == (None, 0, 1.0)
    assert len(stored) == len(TRAIN + EVAL)


def test_splits_are_the_papers_and_validation_is_held_out_of_train(source: Path, tmp_path: Path) -> None:
    (source / "unbalanced_train_segments.csv").write_text(
        segment_list([(f"unbalance{i:02d}", 0.0, 10.0, MIDS[i % 4]) for i in range(20)])
    )
    put(source, all_wavs(NAMINGS["id alone"]))
    put(source, {f"unbalance{i:02d}.wav": wav(0.1) for i in range(20)})
    prepared = prepare(source, tmp_path, held_out=5)
    stored = rows(tmp_path)
    assert {split: len(found) for split, found in stored.items()} == {"train": 20, "validation": 5, "test": 2}
    assert set(stored["test"]) == {"evalevaleva_5000", "-eval_eval-_100000"}
    assert {label for row in stored["train"].values() for label in row["labels"]} == {0, 1, 2, 3}
    assert prepared.manifest.labels == tuple(NAMES)


def test_no_class_loses_its_last_training_clip_to_validation(source: Path, tmp_path: Path) -> None:
    put(source, all_wavs(NAMINGS["id alone"]))
    prepare(source, tmp_path, held_out=1)
    assert {label for row in rows(tmp_path)["train"].values() for label in row["labels"]} == {0, 1, 2, 3}


def test_what_is_missing_empty_short_or_damaged_is_counted_and_reported(source: Path, tmp_path: Path) -> None:
    put(source, all_wavs(NAMINGS["id alone"]))
    more = [(f"more_more_{i}", 0.0, 10.0, "/m/09x0r") for i in range(5)]
    (source / "unbalanced_train_segments.csv").write_text(
        segment_list([*more, ("missingmiss", 7.0, 17.0, MIDS[3])])
    )
    empty = encoded(np.zeros(0, np.float32), 48_000)
    files = [b"", wav(0.5)[:20], b"<html>no such video</html>" * 20, empty, wav(0.5, 10.0)]
    put(source, {f"more_more_{i}.wav": data for i, data in enumerate(files)})
    prepared = prepare(source, tmp_path)
    assert "more_more_4_0" in everything(tmp_path)
    remarks = prepared.manifest.remarks
    assert remarks["left out, the file is empty"] == 1
    assert remarks["left out, the file cannot be decoded"] == 3
    assert remarks["train clips missing"] == 1
    assert remarks["clips without video, shorter than 10 s"] == 7
    assert remarks["clips without video"] == 1
    folder = tmp_path / "audioset"
    absent = list(csv.reader((folder / "absent.csv").open()))
    assert absent[0] == ["split", "clip", "why"]
    assert ["train", "missingmiss_7000", "missing"] in absent
    assert [line[2] for line in absent[1:]].count("unreadable") == 4
    coverage = {
        (line["split"], line["mid"]): line for line in csv.DictReader((folder / "coverage.csv").open())
    }
    speech = [coverage[split, "/m/09x0r"] for split in ("train", "validation", "test")]
    assert sum(int(line["listed"]) for line in speech) == sum(int(line["found"]) for line in speech) == 8
    assert sum(int(line["stored"]) for line in speech) == 4
    dog = coverage["train", "/m/0bt9lr"]
    assert (dog["display_name"], int(dog["listed"]) - int(dog["found"])) == ("Dog", 1)


def test_a_class_without_a_training_clip_fails_unless_the_classes_in_use_are_listed(
    source: Path, tmp_path: Path
) -> None:
    put(source, all_wavs(NAMINGS["id alone"]))
    for ytid in ("-0RWZT-miFs", "Yabcdefghij"):
        (source / f"{ytid}.wav").unlink()
    with pytest.raises(DataError, match=r"1 of 4 classes have no training clip .* 'Dog' \(/m/0bt9lr\): add"):
        prepare(source, tmp_path)
    # There, but of no use, which is known only when it was tried.
    put(source, {"Yabcdefghij.wav": b"no sound"})
    with pytest.raises(
        DataError, match=r"no training clip .* list the classes to use in class_labels_subset.csv"
    ):
        prepare(source, tmp_path)
    assert not (tmp_path / "audioset" / "manifest.json").exists()
    subset = [line for line in class_list().splitlines() if "Dog" not in line and "Tick" not in line]
    (source / "class_labels_subset.csv").write_text("\n".join(subset) + "\n")
    prepared = prepare(source, tmp_path)
    assert prepared.manifest.labels == ("Speech", "Male speech, man speaking")
    assert prepared.manifest.remarks["segments with none of the classes in use"] == 2
    stored = everything(tmp_path)
    assert stored["-eval_eval-_100000"]["labels"] == [1]
    assert stored["AbCdEfGhI_1_30000"]["labels"] == [0]


def test_the_manifest_names_the_list_of_test_clips(source: Path, tmp_path: Path) -> None:
    put(source, all_wavs(NAMINGS["id alone"]))

    def named(keys: Sequence[str]) -> str:
        digest = hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()[:16]
        return f"test clips, whose list is {digest}"

    both = prepare(source, tmp_path / "both").manifest.remarks
    assert both[named(["evalevaleva_5000", "-eval_eval-_100000"])] == 2
    (source / "evalevaleva.wav").write_bytes(b"broken")
    one = prepare(source, tmp_path / "one").manifest.remarks
    assert one[named(["-eval_eval-_100000"])] == 1
    assert one["classes without a test clip"] == 2


def test_a_split_whose_clips_are_all_unreadable_is_empty(source: Path, tmp_path: Path) -> None:
    put(source, all_wavs(NAMINGS["id alone"]))
    put(source, {"evalevaleva.wav": b"broken", "-eval_eval-.wav": b""})
    manifest = prepare(source, tmp_path).manifest
    assert (manifest.split("test").rows, manifest.split("test").files) == (0, ())
    assert manifest.remarks["classes without a test clip"] == 4
    assert prepare(source, tmp_path).already


def test_clips_behind_links_are_found_and_links_to_nothing_are_missing(source: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    put(elsewhere, all_wavs(NAMINGS["id alone"]))
    (source / "clips").symlink_to(elsewhere)
    (elsewhere / "evalevaleva.wav").unlink()
    (elsewhere / "evalevaleva.wav").symlink_to(tmp_path / "gone.wav")
    manifest = prepare(source, tmp_path).manifest
    assert manifest.remarks["test clips missing"] == 1
    assert sum(split.rows for split in manifest.splits) == len(TRAIN + EVAL) - 1


def test_sound_and_video_of_a_clip_are_stored_together(source: Path, tmp_path: Path) -> None:
    put(source, all_wavs(NAMINGS["start in seconds"]))
    film = [stripes(i) for i in range(50)]
    sound = beep(44_100, 2.0, [0.5], 2)
    put(
        source,
        {
            "video/--4gqARaEJE_0.mp4": mp4(film),
            "video/-0RWZT-miFs.mp4": mp4(film, sound=sound),
            "video/AbCdEfGhI_1_30000_40000.mkv": mp4(film, kind="matroska"),
            "evalevaleva.mp4": mp4(film[:25], sound=sound),
        },
    )
    (source / "wavs" / "-0RWZT-miFs_420.wav").write_bytes(b"damaged")
    (source / "wavs" / "evalevaleva_5.wav").unlink()
    remarks = prepare(source, tmp_path).manifest.remarks
    stored = everything(tmp_path)
    silent, damaged = stored["--4gqARaEJE_0"], stored["-0RWZT-miFs_420000"]
    assert (silent["frames"], silent["duration"], heard(silent)) == (50, 2.0, 0)
    assert [number(frame) for frame in video.frames(damaged["video"], 18, 32)] == list(range(18, 50))
    assert np.abs(audio.segment(damaged["audio"], 24_000, 4800)).max() == pytest.approx(0.5, abs=0.05)
    assert stored["AbCdEfGhI_1_30000"]["frames"] == 50
    longer = stored["evalevaleva_5000"]
    assert (longer["frames"], longer["duration"]) == (25, pytest.approx(2.0, abs=0.05))
    assert remarks["clips shorter than 10 s"] == 4
    assert remarks["clips without video, shorter than 10 s"] == 3


def test_of_a_whole_video_only_the_segment_is_stored(source: Path, tmp_path: Path) -> None:
    """The segment of Yabcdefghij is 12.5 to 20 s."""
    put(source, all_wavs(NAMINGS["id alone"]))
    signal = chirp(48_000, 24.0)
    film = [stripes(i // 2, 80, 48) for i in range(600)]
    put(source, {"Yabcdefghij.mp4": mp4(film, sound=np.stack([signal] * 2, 1), rate=48_000)})
    (source / "Yabcdefghij.wav").unlink()
    put(source, {"zzzzzzzzzz_.wav": encoded(signal, 48_000)})
    prepare(source, tmp_path)
    stored = everything(tmp_path)
    row = stored["Yabcdefghij_12500"]
    assert row["frames"] == 188
    assert row["duration"] == pytest.approx(7.52)
    assert number(video.frames(row["video"], 0, 1)[0]) == 312 // 2
    expected = signal[round(12.48 * 48_000) :][:48_000]
    assert np.corrcoef(audio.segment(row["audio"], 0, 48_000), expected)[0, 1] > 0.95
    assert stored["zzzzzzzzzz__0"]["duration"] == 10.0


def parquet(folder: Path, split: str, segments: Sequence[Segment], first: int) -> None:
    """As `agkphysics/AudioSet` has it: FLAC of 24 bits in a struct, labels as mids, no starts."""
    sounds = [
        encoded(np.full(44_100, (first + i + 1) / 16, np.float32), 44_100, "FLAC", "PCM_24")
        for i in range(len(segments))
    ]
    table = pa.table(
        {
            "video_id": [ytid for ytid, *_ in segments],
            "audio": pa.array(
                [
                    {"bytes": data, "path": f"{each[0]}.flac"}
                    for each, data in zip(segments, sounds, strict=True)
                ],
                pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
            ),
            "labels": [mids.split(",") for *_, mids in segments],
            "human_labels": [["Speech"] for _ in segments],
        }
    )
    (folder / "data" / split).mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "data" / split / "00.parquet", row_group_size=2)


@pytest.fixture
def hugging_face(tmp_path: Path) -> Path:
    folder = tmp_path / "hugging_face"
    parquet(folder, "bal_train", TRAIN[:2], 0)
    parquet(folder, "unbal_train", TRAIN[2:], 2)
    parquet(folder, "eval", EVAL, len(TRAIN))
    (folder / "class_labels_indices.csv").write_text(class_list())
    return folder


def test_hugging_faces_parquet_says_itself_what_is_heard(hugging_face: Path, tmp_path: Path) -> None:
    prepare(hugging_face, tmp_path)
    stored = rows(tmp_path)
    assert sorted(stored["test"]) == ["-eval_eval-", "evalevaleva"]
    stored = everything(tmp_path)
    for place, (ytid, *_, mids) in enumerate(TRAIN + EVAL):
        assert heard(stored[ytid]) == place
        assert stored[ytid]["labels"] == sorted(MIDS.index(mid) for mid in mids.split(","))
        assert soundfile.info(io.BytesIO(stored[ytid]["audio"])).samplerate == 48_000
    assert not (tmp_path / ".unpacked" / "audioset").exists()


def test_parquet_without_the_right_columns_or_labels_is_refused(hugging_face: Path, tmp_path: Path) -> None:
    (hugging_face / "class_labels_indices.csv").write_text(class_list(MIDS[:3], NAMES[:3]))
    with pytest.raises(
        DataError, match=r"00.parquet, row 1: label '/m/0bt9lr' is not in class_labels_indices"
    ):
        prepare(hugging_face, tmp_path)
    pq.write_table(pa.table({"audio": [b"x"]}), hugging_face / "data" / "eval" / "00.parquet")
    with pytest.raises(DataError, match=r"eval/00.parquet has no column 'audio.bytes'; it has audio"):
        prepare(hugging_face, tmp_path)


def test_repeating_or_resuming_gives_the_same_bytes(source: Path, tmp_path: Path) -> None:
    put(source, all_wavs(NAMINGS["id alone"]))
    put(source, {"--4gqARaEJE.mp4": mp4([stripes(i) for i in range(30)], 30), "evalevaleva.wav": b""})

    def contents(root: Path) -> dict[str, str]:
        files = [file for file in (root / "audioset").iterdir() if file.name != ".lock"]
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    prepare(source, tmp_path / "once")
    prepare(source, tmp_path / "resumed")
    expected = contents(tmp_path / "once")
    assert contents(tmp_path / "resumed") == expected
    # Killed before the manifest, with one file missing and another damaged; the test file left a clip out.
    folder = tmp_path / "resumed" / "audioset"
    (folder / "manifest.json").unlink()
    (folder / "coverage.csv").unlink()
    next(folder.glob("validation-*")).unlink()
    victim = next(folder.glob("train-*"))
    victim.write_bytes(victim.read_bytes()[:-100])
    kept = next(folder.glob("test-*"))
    stamp = kept.stat().st_mtime_ns
    assert not prepare(source, tmp_path / "resumed").already
    assert contents(tmp_path / "resumed") == expected
    assert kept.stat().st_mtime_ns == stamp


def refused(source: Path, tmp_path: Path, match: str, **options: Any) -> None:
    with pytest.raises(DataError, match=match):
        audioset.prepare_as("audioset", 1, str(tmp_path), str(source), **{"classes": None, **options})
    assert not (tmp_path / "audioset" / "manifest.json").exists()


def test_audioset_itself_must_list_its_527_classes(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lists 4 classes, AudioSet has 527: copy it again"):
        audioset.prepare(str(tmp_path), str(source))
    (source / labels.INDICES).write_text(
        class_list([f"/m/{i}" for i in range(527)], [f"Class {i}" for i in range(527)])
    )
    assert len(labels.classes(source).mids) == 527


def test_without_a_source_the_command_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run: lab data prepare audioset --source FOLDER"):
        audioset.prepare(str(tmp_path))


def test_the_ontology_is_not_the_list_of_classes(source: Path, tmp_path: Path) -> None:
    (source / labels.INDICES).rename(source / "ontology.json")
    refused(source, tmp_path, r"class_labels_indices.csv is missing.*ontology.json is another list, of 632")
    (source / "ontology.json").write_text('[\n {"id": "/m/0dgw9r", "name": "Human sounds"}]')
    (source / "ontology.json").rename(source / labels.INDICES)
    refused(source, tmp_path, r"must begin with the line index,mid,display_name, it begins with '\['")


def test_strong_labels_are_another_task(source: Path, tmp_path: Path) -> None:
    strong = (
        "segment_id\tstart_time_seconds\tend_time_seconds\tlabel\n-_eval__1_30000\t0.000\t1.2\t/m/09x0r\n"
    )
    (source / "eval_segments.csv").write_text(strong)
    refused(source, tmp_path, r"eval_segments.csv, line 1 has tabs: it is a list of strong labels")
    for name in ("eval_segments.csv", "balanced_train_segments.csv"):
        (source / name).unlink()
    (source / "audioset_eval_strong.tsv").write_text(strong)
    refused(source, tmp_path, r"has none of balanced.* audioset_eval_strong.tsv labels events")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (segment_list(EVAL, promised=20_371), r"ends after 2 of the 20,371 segments that its second line"),
        (segment_list([("evalevaleva", 5.0, 15.0, "/m/none")]), r"line 4: label '/m/none' is not in"),
        (
            segment_list(EVAL).replace("5.000", "five"),
            r"line 4 must be YTID, start, end, \"label,label\", it",
        ),
        (segment_list(EVAL).replace('"', ""), r"line 5 must be YTID"),
        ("\udcff\udcfe", "is no text in UTF-8"),
    ],
)
def test_damaged_lists_are_refused_with_the_line(text: str, match: str, source: Path, tmp_path: Path) -> None:
    (source / "eval_segments.csv").write_text(text, errors="surrogateescape")
    refused(source, tmp_path, match)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (class_list().replace("2,/t", "7,/t"), "the indices must count from 0 in steps of 1"),
        (class_list().replace(MIDS[3], MIDS[0]), "lists '/m/09x0r' more than once"),
        (
            class_list().replace('"Male speech, man speaking"', "Male speech, man speaking"),
            "a line must be index",
        ),
        ("", "it begins with ''"),
    ],
)
def test_damaged_class_lists_are_refused(text: str, match: str, source: Path, tmp_path: Path) -> None:
    (source / labels.INDICES).write_text(text)
    refused(source, tmp_path, match)


def test_a_subset_of_unknown_classes_is_refused(source: Path, tmp_path: Path) -> None:
    (source / labels.SUBSET).write_text(class_list(["/m/x"], ["X"]))
    refused(
        source, tmp_path, r"class_labels_subset.csv lists '/m/x', which is not in class_labels_indices.csv"
    )


def test_training_and_evaluation_lists_are_both_needed(source: Path, tmp_path: Path) -> None:
    (source / "eval_segments.csv").unlink()
    refused(source, tmp_path, "has nothing to test on")


def test_a_segment_in_both_lists_is_for_testing_alone(source: Path, tmp_path: Path) -> None:
    put(source, all_wavs(NAMINGS["id alone"]))
    (source / "unbalanced_train_segments.csv").write_text(segment_list([EVAL[0], TRAIN[0]]))
    prepared = prepare(source, tmp_path)
    assert prepared.manifest.remarks["segments listed more than once"] == 2
    stored = rows(tmp_path)
    assert set(stored["test"]) == {"evalevaleva_5000", "-eval_eval-_100000"}
    assert len(stored["train"]) + len(stored["validation"]) == len(TRAIN)
